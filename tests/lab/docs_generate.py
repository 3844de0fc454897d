"""`./dev docs`: writes every page of the documentation that is generated from the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clues.cli.reference import render_cli_reference
from tests.lab import docs_config, docs_states

CLI = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

PAGES: tuple[tuple[Path, Callable[[], str]], ...] = (
    (docs_config.COMMITTED, docs_config.render_reference),
    (docs_states.COMMITTED, docs_states.render_states),
    (CLI, render_cli_reference),
)


def main() -> None:
    """Write the pages that differ, and say which."""
    for path, render in PAGES:
        text = render()
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
