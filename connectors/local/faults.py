"""What goes wrong at a site, programmed from outside: a test writes it into a file, every call reads it.

The file lies in the site's folder, so it works on a daemon that runs in another process and on one that was killed and
started again. Each fault strikes a number of times, or until it is cleared; the file keeps count.

Beside it lies ``calls.jsonl``, the site's own account of each call: when it came and how it was answered.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from clues.errors import AuthFailed, CloudError, InvalidRequest, NoCapacity, QuotaExceeded, Throttled, Transient
from connectors.local.store import replace_file


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of ``faults.json``."""

    #: the call that it strikes (launch, list, terminate, quota), or the boot of a VM
    op: str
    fault: str
    #: how often; None: always
    times: int | None = 1
    #: strikes only what has these labels (``flavor``, ``node``); empty: everything
    match: Mapping[str, str] = field(default_factory=dict)
    #: how long, where a fault has a length
    seconds: float = 0.0
    #: how often it has struck
    used: int = 0

    def strikes(self, op: str, labels: Mapping[str, str] | None) -> bool:
        """Return whether it is this one's turn; *labels* None: the call is about nothing in particular."""
        return (
            self.op == op
            and (self.times is None or self.used < self.times)
            and (labels is None or self.match.items() <= labels.items())
        )


#: Faults that are nothing but an error, and the error that each is.
ERRORS: dict[str, Callable[[Fault], CloudError]] = {
    "no-capacity": lambda _: NoCapacity("no valid host was found", words="fault: no-capacity"),
    "quota": lambda _: QuotaExceeded("the account's quota is used up", words="fault: quota"),
    "auth": lambda _: AuthFailed("the credentials were refused", words="fault: auth"),
    "throttled": lambda fault: Throttled(
        "too many requests",
        words="fault: throttled",
        retry_after=timedelta(seconds=fault.seconds) if fault.seconds else None,
    ),
    "api-error": lambda _: Transient("the site answered 503", words="fault: api-error"),
    "truncated": lambda _: Transient("the listing ended in the middle", words="fault: truncated"),
}
_ANY_CALL = {"auth", "throttled", "api-error", "hang"}

#: What can be programmed for each op. Those that are more than an error:
#:
#: - hang: the call takes so many seconds longer; timeout-after-effect: it is done, but the answer is lost
#: - build-error: the launch is accepted, but the instance is in error
#: - lies: the listing silently lacks the matching instances; vanish: the matching VMs die, as the provider's own doing
#: - slow-boot: user-data starts so many seconds late; never-registers: it never does; boot-fails: no service starts
#: - wrong-gpus, wrong-memory: the VM shows one GPU less, half of the memory; wrong-clock: its clock is off by so much
#: - vanish of a boot: its power fails so many seconds after its user-data has ended
FAULTS: dict[str, frozenset[str]] = {
    "launch": frozenset({"no-capacity", "quota", "timeout-after-effect", "build-error"} | _ANY_CALL),
    "list": frozenset({"truncated", "lies", "vanish"} | _ANY_CALL),
    "terminate": frozenset({"timeout-after-effect"} | _ANY_CALL),
    "quota": frozenset(_ANY_CALL),
    "boot": frozenset("slow-boot never-registers boot-fails wrong-gpus wrong-memory wrong-clock vanish".split()),
}


class Faults:
    """The faults of the site in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faults.json"
        self._lock_file = folder / "faults.lock"

    def add(
        self,
        op: str,
        fault: str,
        *,
        times: int | None = 1,
        seconds: float = 0.0,
        match: Mapping[str, str] | None = None,
    ) -> None:
        """Programme a fault, after those that are there.

        :raises ValueError: when *op* knows no such fault.
        """
        if fault not in FAULTS.get(op, frozenset()):
            raise ValueError(f"no fault {fault!r} for {op!r}: there are {FAULTS}")
        with self._locked() as faults:
            faults.append(Fault(op, fault, times, dict(match or {}), seconds))

    def clear(self) -> None:
        """Let everything go well again."""
        with self._locked() as faults:
            faults.clear()

    def read(self) -> list[Fault]:
        """Return what is programmed, with the count of how often each has struck.

        :raises InvalidRequest: when the file makes no sense.
        """
        try:
            return [Fault(**one) for one in json.loads(self._file.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise InvalidRequest(f"{self._file} makes no sense: {error}") from error

    def take(self, op: str, labels: Mapping[str, str] | None = None, *, every: bool = False) -> list[Fault]:
        """Return the first fault whose turn it is (or *every* such one), and count that it has struck."""
        if not self._file.exists():
            return []
        with self._locked() as faults:
            turns = [place for place, fault in enumerate(faults) if fault.strikes(op, labels)]
            turns = turns if every else turns[:1]
            for place in turns:
                faults[place] = replace(faults[place], used=faults[place].used + 1)
            return [faults[place] for place in turns]

    @contextmanager
    def _locked(self) -> Iterator[list[Fault]]:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock_file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            faults = self.read()
            before = list(faults)
            yield faults
            if faults != before:
                replace_file(self._file, json.dumps([asdict(one) for one in faults], indent=1))


class CallLog:
    """``calls.jsonl`` in *folder*: one line when a call comes, one when it is answered, each with the wall time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "calls.jsonl"

    def call(self, op: str, **details: str | Sequence[str]) -> None:
        """Note that a call has come."""
        self._append({"at": time.time(), "call": op, **details})

    def answer(self, op: str, began: float, outcome: Sequence[str]) -> None:
        """Note its answer: "ok" or the code of an error, for each thing that it was about; *began* is monotonic."""
        took = time.monotonic() - began
        self._append({"at": time.time(), "answer": op, "seconds": round(took, 6), "outcome": list(outcome)})

    def read(self) -> list[dict[str, Any]]:
        """Return all lines."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def _append(self, line: Mapping[str, Any]) -> None:
        # One write in append mode: lines of two processes do not mix.
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
