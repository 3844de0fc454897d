"""A soak plays worlds on all processors until there were enough events, and stops at the first that breaks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from clues.simulation import soak as module
from clues.simulation.replay import main as replay
from clues.simulation.soak import Draw, Tally, draws, main, play_one, soak


def _ten_events(_: Draw) -> tuple[int, str]:
    return 10, ""


def _the_third_breaks(draw: Draw) -> tuple[int, str]:
    return 10, "two VMs for cpu-1" if draw.seed == 1_000_002 else ""


def _run(play: Callable[[Draw], tuple[int, str]], wanted: float, *, go_on: bool = False) -> tuple[Tally, list[str]]:
    tally = Tally(wanted)
    found = soak(draws(["kind", "storm"], 1), tally, 2, go_on=go_on, tell=lambda _: None, play_one=play)
    return tally, list(found)


def test_the_same_seed_draws_the_same_worlds() -> None:
    first, again = (list(islice(draws(["kind", "storm"], 7), 30)) for _ in range(2))
    assert first == again
    assert {one.scenario for one in first} == {"kind", "storm"}
    assert len({one.seed for one in first}) == 30
    assert sum(one.crash is not None for one in first) == 10


def test_it_ends_once_there_were_enough_events() -> None:
    tally, found = _run(_ten_events, 200)
    assert not found
    assert 200 <= tally.events <= 200 + 4 * 10
    assert tally.events == 10 * tally.played.total()


def test_the_first_broken_world_ends_it() -> None:
    tally, found = _run(_the_third_breaks, 1e9)
    assert found == ["two VMs for cpu-1"]
    assert tally.played.total() < 20


def test_it_goes_on_if_asked_to() -> None:
    tally, found = _run(_the_third_breaks, 400, go_on=True)
    assert found == ["two VMs for cpu-1"]
    assert tally.events >= 400


def test_a_world_that_ends_in_an_error_of_its_own_is_told_with_how_to_play_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def _fails(*_: object, **__: object) -> None:
        raise KeyError("cpu-1")

    monkeypatch.setattr(module, "play", _fails)
    draw = next(one for one in draws(["storm"], 1) if one.crash is not None)
    events, told = play_one(draw)
    assert (events, "KeyError: 'cpu-1'" in told) == (0, True)
    command = told.rpartition("play it again: ")[2].split()
    assert command[:3] == ["python", "-m", "clues.simulation.replay"]
    assert replay([*command[3:], "--quiet"]) == 0  # the very command, as the daemon as it stands can live through it


def test_real_worlds_are_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "kind", "--events", "1e3", "--processes", "2"]) == 0
    said = capsys.readouterr().out
    assert "0 broken" in said
    assert "kind " in said.splitlines()[-1]
