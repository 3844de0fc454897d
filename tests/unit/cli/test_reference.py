"""The committed reference is what the commands say of themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clues.api.wire import PENDING_STATES
from clues.cli.commands import COMMANDS
from clues.cli.man import render_man
from clues.cli.reference import render_cli_reference
from clues.model import Verdict
from clues.templates import folder

MAN = Path(str(folder())) / "man" / "clues.1"
COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_committed_reference_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == render_cli_reference(), "run ./dev docs"


def test_the_committed_manual_page_is_the_generated_one() -> None:
    assert MAN.read_text() == render_man(), "run ./dev docs"


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_the_manual_page_is_read_without_complaint() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n", MAN], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)  # bold, in either of its ways
    for command in COMMANDS:
        assert f"clues {command.name}" in plain


def test_it_does_not_depend_on_the_terminal(monkeypatch: object) -> None:
    import os

    before = os.environ.get("COLUMNS")
    try:
        os.environ["COLUMNS"] = "30"
        narrow = render_cli_reference()
        os.environ["COLUMNS"] = "300"
        assert render_cli_reference() == narrow
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def test_every_command_is_in_it_once() -> None:
    page = render_cli_reference()
    for command in COMMANDS:
        assert page.count(f"### clues {command.name}\n") == 1


def test_every_state_of_a_pending_job_is_explained() -> None:
    assert list(PENDING_STATES) == list(Verdict)
