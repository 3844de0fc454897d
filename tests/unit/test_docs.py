"""The documentation: generated pages are up to date, and no link between pages is broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.docs_generate import PAGES

ROOT = Path(__file__).parents[2]
WRITTEN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(("path", "render"), PAGES, ids=[path.stem for path, _ in PAGES])
def test_a_generated_page_is_what_the_code_says(path: Path, render: Callable[[], str]) -> None:
    assert path.read_text() == render(), "run ./dev docs"


@pytest.mark.parametrize("page", WRITTEN, ids=[str(page.relative_to(ROOT)) for page in WRITTEN])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []
