"""What one caller, and all callers together, may cost the enrolment service."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on time and size. They are wide for any worker, also for a hundred behind one NAT address."""

    handshake: timedelta = timedelta(seconds=10)
    #: from the end of the handshake until the whole request is here, however slowly it drips
    request: timedelta = timedelta(seconds=15)
    #: how long the signer may take
    desk: timedelta = timedelta(seconds=30)
    #: how long a member's question for settings waits for news
    poll: timedelta = timedelta(seconds=25)
    #: how long a client may take to accept its answer
    answer: timedelta = timedelta(seconds=10)
    head_bytes: int = 8 * 1024
    body_bytes: int = 64 * 1024
    #: connections at once, in all and from one address
    connections: int = 256
    connections_per_address: int = 64
    #: calls to the signer at once
    desk_threads: int = 8
    #: callers that may wait with a ticket of which no live claim is known; they have one thread of their own
    strangers: int = 32
    #: refused tickets from one address (and for one claim) within the window, after which it has to wait
    failures: int = 20
    failure_window: timedelta = timedelta(seconds=60)


class FailureBrake:
    """Counts refused tickets within a sliding window, by address and by the claim that they name (none, where no such
    claim is alive); remembers a bounded number of these.

    A ticket cannot be guessed; this keeps guessing from keeping the signer busy. By claim, because behind one address
    there may be an honest router and a neighbour of it that guesses.
    """

    def __init__(self, limits: Limits, *, addresses: int = 4096) -> None:
        self._most = limits.failures
        self._window = limits.failure_window.total_seconds()
        self._addresses = addresses
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_seconds(self, address: str, claim: str, now: float) -> float:
        """Return for how long this address has to stay away; 0 when it need not. *now* is monotonic, in
        seconds."""
        failures = self._failures.get((address, claim))
        if not failures or len(failures) < self._most:
            return 0.0
        return max(0.0, failures[0] + self._window - now)

    def failed(self, address: str, claim: str, now: float) -> None:
        """Note a refused ticket."""
        self._failures.setdefault((address, claim), deque(maxlen=self._most)).append(now)
        self._failures.move_to_end((address, claim))
        if len(self._failures) > self._addresses:
            self._failures.popitem(last=False)


class Seats:
    """How many connections each address has open."""

    def __init__(self, per_address: int) -> None:
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Take a seat; False when this address has all that it may."""
        if self._taken[address] >= self._per_address:
            return False
        self._taken[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Give a seat back."""
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]
