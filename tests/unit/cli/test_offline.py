"""Commands without a daemon are found by entry point, given what the user wrote, and answer with their exit
code."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.cli import main
from tests.unit.cli.running import ROOT, clues

PLUGIN = """
import sys

def echo(argv):
    print(argv)
    return 7

"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """A distribution that brings the commands, installed as pip would."""
    (tmp_path / "clues_offline_fake.py").write_text(PLUGIN)
    info = tmp_path / "aaa_fake-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aaa-fake\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[clues.offline]\nconfig-check = clues_offline_fake:echo\nslurm-config = clues_offline_fake:echo\n"
        "nfs-exports = clues_offline_fake:echo\ndoctor = clues_offline_fake:echo\n"
    )
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


@pytest.mark.parametrize(
    ("arguments", "argv"),
    [
        (["config", "check"], []),
        (["config", "check", "my.yaml"], ["--", "my.yaml"]),
        (["config", "check", "--", "-odd.yaml"], ["--", "-odd.yaml"]),
        (["slurm-config"], []),
        (["slurm-config", "--check", "my.yaml"], ["--check", "--", "my.yaml"]),
        (["slurm-config", "--write", "/tmp/x"], ["--write=/tmp/x"]),
        (["nfs-exports"], ["--slurm-user=slurm"]),
        (["doctor"], ["--deadline=60", "--socket=/nonexistent/clues.sock", "--output=table", "--"]),
        (
            ["doctor", "aws", "-o", "json", "--config", "my.yaml", "--deadline", "5", "--socket", "/run/x.sock"],
            ["--config=my.yaml", "--deadline=5", "--socket=/run/x.sock", "--output=json", "--", "aws"],
        ),
        (
            ["nfs-exports", "--write", "/tmp/x", "--slurm-user", "slurmctl", "my.yaml"],
            ["--write=/tmp/x", "--slurm-user=slurmctl", "--", "my.yaml"],
        ),
    ],
)
def test_the_command_gets_what_was_written(installed: dict[str, str], arguments: list[str], argv: list[str]) -> None:
    result = clues(*arguments, **installed)
    assert (result.code, result.out, result.err) == (7, f"{argv}\n", "")


def test_a_missing_command_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("clues.cli.commands.offline.GROUP", "clues.nothing-here")
    assert main(["config", "check"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "install clues again" in captured.err
