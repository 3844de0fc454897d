"""Slurm's programs are bounded in time, run in an environment of ours, and fail with Slurm's own words."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from clues.errors import LrmsError
from lrms.slurm.tools import Tools


def program(folder: Path, name: str, script: str) -> Tools:
    """Tools that find the stand-in *name* in *folder*."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Tools(bin=folder, timeout=timedelta(seconds=20))


def test_a_controller_that_does_not_answer_costs_the_timeout_and_no_more(tmp_path: Path) -> None:
    program(tmp_path, "sdiag", "exec sleep 60")
    start = time.monotonic()
    with pytest.raises(LrmsError, match=r"sdiag gave no answer in 0.2 s: is slurmctld alive"):
        Tools(bin=tmp_path, timeout=timedelta(seconds=0.2)).run(["sdiag"])
    assert time.monotonic() - start < 10


def test_the_words_of_slurm_are_kept_in_one_line(tmp_path: Path) -> None:
    tools = program(tmp_path, "scontrol", "echo 'slurm_update error: Invalid node name' >&2; echo second >&2; exit 1")
    with pytest.raises(LrmsError, match=r"scontrol update x failed \(1\): slurm_update error: .* name / second$"):
        tools.run(["scontrol", "update", "x"])


def test_a_program_that_is_missing_is_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(LrmsError, match=r"squeue was not found in .*: install Slurm's client commands"):
        Tools(bin=tmp_path).run(["squeue"])


def test_the_environment_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SQUEUE_STATES", "SLURM_CLUSTERS", "SQUEUE_FORMAT", "LC_ALL", "TZ"):
        monkeypatch.setenv(name, "theirs")
    output = program(tmp_path, "squeue", "env").run(["squeue"], env={"SQUEUE_FORMAT2": "ours"})
    assert "theirs" not in output
    for line in ("LC_ALL=C", "TZ=UTC", "SLURM_TIME_FORMAT=%s", "SLURM_BITSTR_LEN=0", "SQUEUE_FORMAT2=ours"):
        assert line in output.splitlines()


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    tools = program(tmp_path, "scontrol", 'printf "%s|" "$@"')
    assert tools.run(["scontrol", "reason=$(id); `id`", "a b"]) == "reason=$(id); `id`|a b|"
