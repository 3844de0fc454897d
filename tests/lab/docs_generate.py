"""`./dev docs`: writes every page, and every dashboard, that is generated from the code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from clues.cli.man import render_man
from clues.cli.reference import render_cli_reference
from tests.lab import docs_api, docs_config, docs_metrics, docs_states, grafana

CLI = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
#: a template, so that a wheel brings it
MAN = Path(__file__).parents[2] / "templates" / "man" / "clues.1"

PAGES: tuple[tuple[Path, Callable[[], str]], ...] = (
    (docs_config.COMMITTED, docs_config.render_installed),
    (docs_states.COMMITTED, docs_states.render_states),
    (docs_api.COMMITTED, docs_api.render_openapi),
    (docs_api.PAGE, docs_api.render_api),
    (docs_metrics.COMMITTED, docs_metrics.render_metrics),
    (CLI, render_cli_reference),
    (MAN, render_man),
    *((grafana.FOLDER / f"{name}.json", partial(grafana.render, name)) for name in grafana.BOARDS),
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
