"""Many looks at once: each on a thread of its own, all together with one deadline. A look that hangs is a finding."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from clues.errors import CluesError
from clues.model import Finding, Soundness

#: How often the one who waits is told of what is still awaited.
_TELL_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Examination:
    """Something to be looked at: of what, and how."""

    #: what it is about, for people: ``front-end``, or the name of a site
    about: str
    topic: str
    look: Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Found:
    """One finding, and what it is about."""

    about: str
    finding: Finding


def examine_all(
    examinations: Sequence[Examination],
    deadline: float,
    progress: Callable[[Sequence[str], float], None] = lambda _, __: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Found]:
    """Make all examinations together; return what they found, in their order.

    :param deadline: seconds after which whatever has not ended is a finding itself. Its thread is left behind.
    :param progress: told now and then what is still awaited, and for how many seconds so far.
    """
    answers: queue.SimpleQueue[tuple[int, list[Finding]]] = queue.SimpleQueue()
    for number, one in enumerate(examinations):
        work = threading.Thread(target=_look, args=(one, number, answers), name=f"doctor-{number}", daemon=True)
        work.start()
    began = monotonic()
    found: dict[int, list[Finding]] = {}
    while len(found) < len(examinations) and (passed := monotonic() - began) < deadline:
        try:
            number, findings = answers.get(timeout=min(_TELL_EVERY, deadline - passed))
        except queue.Empty:
            awaited = [one.about for number, one in enumerate(examinations) if number not in found]
            progress(list(dict.fromkeys(awaited)), monotonic() - began)
        else:
            found[number] = findings
    return [
        Found(one.about, finding)
        for number, one in enumerate(examinations)
        for finding in found.get(number, [_too_late(one, deadline)])
    ]


def _look(one: Examination, number: int, answers: queue.SimpleQueue[tuple[int, list[Finding]]]) -> None:
    try:
        found = list(one.look())
    except CluesError as error:
        found = [Finding(one.topic, Soundness.BAD, str(error))]
    except Exception as error:  # noqa: BLE001 - a defect in one look hides none of the others
        text = f"could not be looked at: {type(error).__name__}: {error}"
        found = [Finding(one.topic, Soundness.UNKNOWN, text, "this is a mistake in clues or a plugin: report it")]
    answers.put((number, found))


def _too_late(one: Examination, deadline: float) -> Finding:
    cure = "see whether a firewall drops what is sent there; `--deadline` gives it more time"
    return Finding(one.topic, Soundness.UNKNOWN, f"did not answer within {deadline:g} s", cure)
