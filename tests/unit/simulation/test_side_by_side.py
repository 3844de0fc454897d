"""Policies are played at once, and what comes of them is what would have come of them one after another."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from clues.simulation.trials.command import simulate
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.policies import Policy
from clues.simulation.trials.side_by_side import PolicyFailed, play_all
from clues.simulation.trials.traces import read_trace
from clues.simulation.trials.trial import Conditions, Progress
from tests.unit.simulation.test_trials import settings

DATA = Path(__file__).parent / "data"
TRACE, FILE = str(DATA / "small.swf"), str(DATA / "small.yaml")


@dataclass(frozen=True)
class Acts(Policy):
    """A policy that does something else than play."""

    act: Callable[[Progress], None] = lambda _: None

    def play(self, jobs: object, conditions: object, progress: Progress) -> Outcome:
        self.act(progress)
        return Outcome(self.label)


def acts(label: str, act: Callable[[Progress], None] = lambda _: None) -> Policy:
    return Acts(label, settings(), None, act)


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert simulate([TRACE, FILE, "--first=20", *words]) == 0
    return capsys.readouterr().out


def test_the_same_is_printed_however_many_are_played_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    alone, together = (told(["--peers", f"--processes={n}"], capsys) for n in (1, 3))
    assert alone == together
    alone, together = (told(["--peers", "--json", f"--processes={n}"], capsys) for n in (1, 3))
    assert _without_times(alone) == _without_times(together)


def _without_times(text: str) -> list[dict[str, object]]:
    return [{key: value for key, value in one.items() if key != "took_seconds"} for one in json.loads(text)["policies"]]


def test_they_are_played_in_other_processes_and_come_back_in_order() -> None:
    """The first is over last."""
    pids = [os.getpid()]

    def slow(_: Progress) -> None:
        time.sleep(0.5)

    def never_here(_: Progress) -> None:
        pids.append(1)

    found = play_all([acts("a", slow), acts("b", never_here), acts("c", never_here)], (), Conditions(), 2)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert pids == [os.getpid()]


@pytest.mark.parametrize("processes", [1, 2])
def test_how_far_it_is_only_grows_and_ends_at_all_of_it(processes: int) -> None:
    def half(progress: Progress) -> None:
        progress(0.5)
        time.sleep(0.5)

    seen: list[tuple[int, float]] = []
    play_all([acts("a", half), acts("b", half)], (), Conditions(), processes, lambda *one: seen.append(one))
    assert seen == sorted(seen)
    assert seen[-1] == (2, 1.0)
    assert (0, 0.5 if processes == 2 else 0.25) in seen


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_one_is_told_by_its_name_and_ends_the_others(processes: int) -> None:
    def fails(_: Progress) -> None:
        raise KeyError("cpu-1")

    def goes_on(_: Progress) -> None:
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(PolicyFailed, match=r"(?s)Traceback.*bad\.yaml: could not be played: KeyError: 'cpu-1'$"):
        play_all([acts("bad.yaml", fails), acts("good.yaml", goes_on)], (), Conditions(), processes)
    assert time.monotonic() - began < 20


def test_a_process_that_is_killed_is_told_by_its_name() -> None:
    def dies(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(PolicyFailed, match=r"big\.yaml: its process was ended by signal 9"):
        play_all([acts("small.yaml"), acts("big.yaml", dies)], (), Conditions(), 2)


def test_the_command_tells_what_failed_and_prints_no_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> Outcome:
        raise ZeroDivisionError("no hours")

    monkeypatch.setattr("clues.simulation.trials.policies.run_peer", fails)
    assert simulate([TRACE, FILE, "--first=5", "--peers", "--processes=2"]) == 1
    printed = capsys.readouterr()
    assert "could not be played: ZeroDivisionError: no hours" in printed.err
    assert not printed.out


def test_ctrl_c_is_not_heard_by_those_that_play() -> None:
    """They would each print a traceback; who has started them ends them."""

    def is_interrupted(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    found = play_all([acts("a", is_interrupted), acts("b", is_interrupted)], (), Conditions(), 2)
    assert [one.name for one in found] == ["a", "b"]
    with pytest.raises(KeyboardInterrupt):  # this process hears it as ever
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_at_a_terminal_ends_all_of_them_without_a_traceback(tmp_path: Path) -> None:
    """As a terminal does it: the signal goes to every process of the group."""
    ours, theirs = pty.openpty()
    long, other = tmp_path / "long.swf", tmp_path / "other.yaml"
    long.write_text("".join(_swf(number) for number in range(8000)))
    other.write_text(Path(FILE).read_text())
    program = "import sys; from clues.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["simulate", str(long), FILE, f"--compare={other}", "--processes=2"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=theirs, process_group=0
    )
    os.close(theirs)
    said = b""
    while not re.search(rb" [1-9]\d* %", said):
        said += os.read(ours, 1000)
    assert b"0 of 2 policies played" in said
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    said = _rest(ours)
    assert process.returncode == 130
    assert not out
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):  # nobody is left in the group
        os.killpg(process.pid, 0)


def _swf(number: int) -> str:
    """Return a job for which a VM is bought."""
    return f"{number + 1} {number * 2000} 0 200 4 -1 -1 4 600 -1 1 1 1 -1 -1 -1 -1 -1\n"


def _rest(terminal: int) -> bytes:
    said = b""
    try:
        while piece := os.read(terminal, 1000):
            said += piece
    except OSError:  # how Linux tells that nobody holds the other end any more
        pass
    os.close(terminal)
    return said


def test_one_whose_parent_is_gone_plays_no_further(tmp_path: Path) -> None:
    """The parent is killed, so that it can end nobody."""
    left = tmp_path / "left"

    program = f"""
import os, pathlib, time
from clues.simulation.trials.side_by_side import play_all
from clues.simulation.trials.trial import Conditions
from tests.unit.simulation.test_side_by_side import acts

def goes_on(progress):
    pathlib.Path({str(left)!r}).write_text(str(os.getpid()))
    for number in range(600):
        time.sleep(0.05)
        progress(number / 600)

play_all([acts("a", goes_on), acts("b", lambda _: time.sleep(1))], (), Conditions(), 2)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[3])
    while not left.exists() or not left.read_text():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert _ends(int(left.read_text()), within=10)


def _ends(pid: int, within: float) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_trace_is_the_same_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs are used up by a trial; what the next one plays is its own."""
    jobs = read_trace(DATA / "small.swf", first=10).jobs
    twice = play_all([Policy("a", settings()), Policy("b", settings())], jobs, Conditions(), 2)
    assert twice[0].waits == twice[1].waits
    assert len(twice[0].waits) == 10


def test_none_can_play_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate([TRACE, FILE, "--processes=0"]) == 1
    assert "--processes 0: at least one has to play" in capsys.readouterr().err
