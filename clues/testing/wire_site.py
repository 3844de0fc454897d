"""What the contract on the wire needs from a provider under test, and how it judges a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Protocol

from clues.errors import CloudError
from clues.model import Instance, InstanceState, LaunchRequest
from clues.ports import Connector
from clues.testing.connector_contract import SiteUnderTest
from clues.testing.wire import FaultyProxy
from clues.testing.wire_faults import WireFault

#: No text of a provider's may be longer where it is kept: it is stored and shown.
LONGEST_WORDS = 1000
#: nor may any call take longer, whatever comes back
LONGEST_CALL = 30.0


class WireSite(SiteUnderTest, Protocol):
    """A provider behind a :class:`FaultyProxy`, which can be told what to do behind the connector's back."""

    #: the connector reaches the provider through this, and only so
    wire: FaultyProxy
    #: texts that stand in no error: password, token, key
    secrets: tuple[str, ...]

    def impatient(self, cluster: str) -> Connector:
        """Return a connector like :meth:`connect`, with a time-out of one second."""
        ...

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        """Return whether a request is the decisive one of *op*: ``list`` (a page of all VMs, not one VM), ``launch``
        (makes the VM), ``terminate`` (ends it), ``quota``."""
        ...

    def add_foreign(self, like: LaunchRequest) -> str:
        """Make a VM of somebody else's in the same account, with the name that ours would have for this request and
        without our tags; return its id."""
        ...

    def foreign_is_untouched(self, instance_id: str) -> bool:
        """Return whether that VM is still as it was made."""
        ...

    def strip_tags(self, instance: Instance) -> None:
        """Take all tags from a VM."""
        ...

    def transient_states(self) -> Mapping[str, InstanceState]:
        """Return the provider's own states in which a VM may hang, and one that nobody has heard of, with what each
        has to be listed as."""
        ...

    def put_in_state(self, instance: Instance, state: str) -> None:
        """Have a VM hang in one of these states; an empty one lets it go on and run."""
        ...

    def refuse_terminate(self, times: int) -> None:
        """Let the provider refuse to end a VM, with the error that it has for that, so often."""
        ...

    def ignore_terminate(self, times: int) -> None:
        """Let the provider say yes to the end of a VM and do nothing, so often."""
        ...

    def list_twice(self) -> None:
        """Let the next listing show each of our VMs twice."""
        ...

    def hostile_names(self) -> None:
        """Give our VMs names, descriptions and whatever else a stranger may write there of control characters, quotes,
        markup and 10 kB of length; their tags stay."""
        ...

    def alive(self) -> int:
        """Return how many VMs exist at the provider, whoever's, that have not ended."""
        ...


def failure_of(work: Callable[[], object]) -> CloudError | None:
    """Return the typed error that *work* ends with; None where it succeeds. Others pass: they are what is wrong."""
    try:
        work()
    except CloudError as error:
        return error
    return None


def complaints(error: CloudError, secrets: tuple[str, ...], says: str = "") -> list[str]:
    """Return what is wrong with an error's words."""
    wrong = []
    for name, text in (("words", error.words), ("message", str(error))):
        if not text:
            wrong.append(f"its {name} are empty")
        if not text.isprintable():
            wrong.append(f"its {name} are not one printable line: {text!r}")
        if len(text) > LONGEST_WORDS + 200:
            wrong.append(f"its {name} are {len(text)} characters long")
    if says not in error.words:
        wrong.append(f"{says!r} is not in its words: {error.words!r}")
    for one in chain(error):
        for secret in secrets:
            if secret in f"{one} {one!r} {getattr(one, 'words', '')}":
                wrong.append(f"a secret stands in {type(one).__name__}, which a log would show")
    return wrong


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error with its causes, as a traceback shows them."""
    told: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in told:
        yield now
        told.append(now)
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)


def texts(value: object) -> Iterator[str]:
    """Yield every text in a value of the model."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from texts(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from texts(one)


def timed(work: Callable[[], object]) -> tuple[CloudError | None, float]:
    """Return the typed error of *work* and how long it took."""
    began = time.monotonic()
    error = failure_of(work)
    return error, time.monotonic() - began


def named(fault: WireFault) -> str:
    """Return a fault's name, for pytest."""
    return fault.name
