"""The lease in a real folder, held by real threads: what may be done, when it ends, and who has it then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clues.errors import Transient
from clues.standby.folder import SharedFolder
from clues.standby.keeper import Keeper, boot_time
from clues.standby.lease import Lease, Timing

ME, OTHER = "a" * 16, "b" * 16


class Kept:
    """A keeper over a folder of the test's, and what it said when it lost."""

    def __init__(self, path: Path, lease: float = 0.6) -> None:
        self.folder = SharedFolder(path)
        held = Lease(1, ME, "head-a")
        (path / held.file).touch()
        self.lost: list[str] = []
        self.keeper = Keeper(self.folder, held, boot_time(), Timing(lease), lost=self._lose)

    def _lose(self, why: str) -> None:
        self.lost.append(why)
        self.keeper.stop()  # in life the process ends here

    def number(self) -> int:
        lease, _ = self.folder.look()
        return lease.number if lease is not None else -1


def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_it_is_renewed_as_long_as_it_is_kept_and_goes_on_where_it_was_left(kept: Kept) -> None:
    kept.keeper.start()
    until(lambda: kept.number() >= 4)
    kept.keeper.stop()
    assert kept.lost == []
    lease, _ = kept.folder.look()
    assert lease is not None
    assert (lease.holder, lease.name) == (ME, "head-a")


def test_nothing_is_permitted_before_a_renewal_that_began_after_the_question(kept: Kept) -> None:
    answered: list[int] = []

    def ask() -> None:
        kept.keeper.permit()
        answered.append(kept.number())

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.05)
    assert answered == []  # held, and by the clock still good: that is not enough
    kept.keeper.start()
    asking.join(5)
    kept.keeper.stop()
    assert answered
    assert answered[0] >= 2


def test_who_has_lost_it_gets_no_permit_though_its_clock_says_it_holds(kept: Kept) -> None:
    assert kept.folder.move(kept.keeper.lease, kept.keeper.lease.next(OTHER, "head-b"))
    assert kept.keeper.may_act
    kept.keeper.start()
    with pytest.raises(Transient):
        kept.keeper.permit()
    until(lambda: kept.lost)
    assert "head-b has taken the lease" in kept.lost[0]


def test_a_share_that_is_gone_ends_it_when_the_lease_has_run_out(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    kept = Kept(share, lease=0.5)
    kept.keeper.start()
    until(lambda: kept.number() >= 2)
    share.rename(tmp_path / "away")
    begun = time.monotonic()
    with pytest.raises(Transient):
        kept.keeper.permit()
    until(lambda: kept.lost)
    assert time.monotonic() - begun < 3
    assert "not renewed" in kept.lost[0]


def test_a_file_system_that_hangs_does_not_keep_it_from_ending(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()
    monkeypatch.setattr(kept.folder, "move", lambda *_: hang.wait(20))
    kept.keeper.start()
    until(lambda: kept.lost)
    hang.set()


def test_what_cannot_be_told_to_the_other_one_permits_nothing_and_is_shown(kept: Kept) -> None:
    def full() -> None:
        raise OSError("No space left on device")

    kept.keeper.tell = full
    kept.keeper.start()
    with pytest.raises(Transient, match="No space left"):
        kept.keeper.permit()
    assert "cannot be told" in kept.keeper.trouble
    assert kept.lost == []  # the lease itself is renewed: nobody else could act better
    kept.keeper.tell = lambda: None
    kept.keeper.permit()
    kept.keeper.stop()
    assert kept.keeper.trouble == ""


def test_an_answer_that_was_lost_loses_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server renamed the file and the client heard nothing of it: the name is ours, with a higher number."""
    move, calls = kept.folder.move, []

    def deaf(lease: Lease, to: Lease) -> bool:
        calls.append(to.number)
        done = move(lease, to)
        if len(calls) == 1:
            raise OSError("timed out")
        return done

    monkeypatch.setattr(kept.folder, "move", deaf)
    kept.keeper.start()
    kept.keeper.permit()
    kept.keeper.stop()
    assert kept.lost == []
    assert calls[:2] == [2, 2]
    assert kept.number() >= 3
