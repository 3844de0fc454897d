"""Orders about nodes of eager pools: to whom they go after one more look, and in how few commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.errors import LrmsError
from lrms.slurm import power
from tests.unit.slurm.test_commands import Stand, idle

OFF, OPEN, UP = "IDLE+CLOUD+DRAIN+POWERED_DOWN", "IDLE+CLOUD+POWERED_DOWN", "IDLE+CLOUD+POWERING_UP"


def stand(folder: Path, *states: tuple[str, str], held: str = "") -> tuple[Stand, list[str]]:
    names = [f"gpu-{number:02}" for number in range(1, len(states) + 1)]
    lines = [idle(name, state, reason) for name, (state, reason) in zip(names, states, strict=True)]
    return Stand(folder, "".join(lines), held), names


def test_the_nodes_of_a_gang_are_given_up_in_one_command_and_those_that_have_come_are_not(tmp_path: Path) -> None:
    seen, names = stand(
        tmp_path, (UP, ""), ("IDLE+CLOUD", ""), (UP, ""), (UP + "+SHINY", ""), (UP + "+DRAIN", "broken fan")
    )
    assert power.give_up(seen.commands, names, "clues:none") == ("gpu-01", "gpu-03")
    assert seen.done == [
        "update nodename=gpu-[01,03] state=down reason=clues:none",
        "update nodename=gpu-[01,03] state=power_down",
    ]


def test_what_is_off_and_ours_is_released(tmp_path: Path) -> None:
    seen, names = stand(
        tmp_path,
        (OFF, "clues:off"),
        ("DOWN+CLOUD+POWERED_DOWN", "ResumeTimeout reached"),
        (OFF, "broken fan"),
        ("DOWN+CLOUD", "clues:off"),
        (OPEN, ""),
        (OFF + "+SHINY", "clues:off"),
    )
    power.release(seen.commands, names)
    assert seen.done == ["update nodename=gpu-[01-02] state=resume"]


def test_what_is_off_and_open_is_powered_up(tmp_path: Path) -> None:
    seen, names = stand(tmp_path, (OPEN, ""), (OFF, "clues:off"), (UP, ""), ("IDLE+CLOUD", ""))
    power.power_up(seen.commands, names)
    assert seen.done == ["update nodename=gpu-01 state=power_up"]


@pytest.mark.parametrize(
    ("present", "written"),
    [("\n", True), ("(null)\n", True), ("clues: old\n", True), ("ask Eve first\n", False), ("", False)],
    ids=["none", "null", "ours", "an admin's", "no such job"],
)
def test_a_comment_that_somebody_else_wrote_stays(tmp_path: Path, present: str, written: bool) -> None:
    seen, _ = stand(tmp_path, (UP, ""), held=present)
    power.annotate(seen.commands, "42_7", "no VM")
    assert seen.done == (["update jobid=42_7 admincomment=clues: no VM"] if written else [])


def test_a_comment_goes_to_a_job_only(tmp_path: Path) -> None:
    seen, _ = stand(tmp_path, (UP, ""))
    with pytest.raises(LrmsError, match="not a job"):
        power.annotate(seen.commands, "42 partition=x", "no VM")
