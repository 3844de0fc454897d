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


#: A test that a page names as its witness: a file, a function in it, or just ``::`` and a function of the file before.
_WITNESS = re.compile(r"`(?=[t:])(tests/[a-z0-9_/]+\.py)?(?:::(test_\w+))?`")


def witnesses(page: Path) -> list[tuple[str, str]]:
    """Return the tests that a page names, as file and function (empty: all of the file)."""
    found, file = [], ""
    for match in _WITNESS.finditer(page.read_text()):
        file = match[1] or file
        found.append((file, match[2] or ""))
    return found


def _defines(file: str, function: str) -> bool:
    path = ROOT / file
    return path.is_file() and (not function or f"def {function}(" in path.read_text())


def test_the_page_on_security_names_its_witnesses() -> None:
    assert len(witnesses(ROOT / "docs" / "explanation" / "security.md")) > 25


@pytest.mark.parametrize("page", WRITTEN, ids=[str(page.relative_to(ROOT)) for page in WRITTEN])
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = [f"{file}::{function}" for file, function in witnesses(page) if not _defines(file, function)]
    assert missing == []


@pytest.mark.parametrize("page", WRITTEN, ids=[str(page.relative_to(ROOT)) for page in WRITTEN])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_every_page_stands_in_the_navigation() -> None:
    """`./dev lint` refuses a page that does not; this tells it sooner."""
    pages = {str(page.relative_to(ROOT / "docs")) for page in WRITTEN if (ROOT / "docs") in page.parents}
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert pages - named == set(), "name it under nav: in mkdocs.yml, and in docs/README.md"
