"""The committed reference is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

from clues.cli.commands import COMMANDS
from clues.cli.reference import render_cli_reference

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_committed_reference_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == render_cli_reference(), "run ./dev docs"


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
