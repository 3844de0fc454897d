"""Many looks at once, none of which can hold up or hide the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from clues.doctor.examination import Examination, examine_all
from clues.errors import AuthFailed
from clues.model import Finding, Soundness

GOOD = Finding("x", Soundness.GOOD, "right")


def test_findings_come_in_the_order_of_what_is_examined() -> None:
    def slow() -> Iterator[Finding]:
        time.sleep(0.2)
        yield GOOD

    found = examine_all([Examination("a", "x", slow), Examination("b", "x", lambda: [GOOD, GOOD])], 10)
    assert [one.about for one in found] == ["a", "b", "b"]


def test_they_are_made_together() -> None:
    both = threading.Barrier(2, timeout=5)

    def meets() -> list[Finding]:
        both.wait()
        return [GOOD]

    found = examine_all([Examination("a", "x", meets), Examination("b", "x", meets)], 10)
    assert [one.finding.soundness for one in found] == [Soundness.GOOD] * 2


def test_one_that_hangs_is_a_finding_and_holds_up_nothing() -> None:
    never = threading.Event()

    def hangs() -> list[Finding]:
        never.wait(30)
        return [GOOD]

    began = time.monotonic()
    hung, good = examine_all([Examination("a", "site", hangs), Examination("b", "x", lambda: [GOOD])], 0.4)
    assert time.monotonic() - began < 5
    assert (hung.about, hung.finding.topic, hung.finding.soundness) == ("a", "site", Soundness.UNKNOWN)
    assert "0.4 s" in hung.finding.text
    assert hung.finding.cure
    assert good.finding == GOOD
    never.set()


def test_what_goes_wrong_in_one_is_a_finding_too() -> None:
    def refused() -> list[Finding]:
        raise AuthFailed("the token has ended")

    def broken() -> Iterator[Finding]:
        yield GOOD
        raise RuntimeError("a bug")

    refusal, defect = examine_all([Examination("a", "site", refused), Examination("b", "x", broken)], 10)
    assert (refusal.finding.soundness, refusal.finding.text) == (Soundness.BAD, "the token has ended")
    assert defect.finding.soundness is Soundness.UNKNOWN
    assert "a bug" in defect.finding.text


def test_who_waits_is_told_what_for() -> None:
    done, told = threading.Event(), list[Sequence[str]]()

    def waits() -> list[Finding]:
        done.wait(10)
        return [GOOD]

    def progress(awaited: Sequence[str], _: float) -> None:
        told.append(awaited)
        done.set()

    examinations = [Examination(about, "x", waits) for about in ("aws", "aws", "upv")]
    examine_all([*examinations, Examination("done", "x", lambda: [GOOD])], 10, progress)
    assert told[0] == ["aws", "upv"]
