"""What of the Debian package needs no chroot: who it is from, and that what it puts beside the programs is there."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from package.build import DOCUMENTS, ROOT, _documents, maintainer


@pytest.mark.parametrize(
    ("environment", "whom"),
    [
        ({"DEBFULLNAME": "Ada", "DEBEMAIL": "ada@example.org", "EMAIL": "x@example.org"}, "Ada <ada@example.org>"),
        ({"EMAIL": "ops@example.org"}, "The clues developers <ops@example.org>"),
        ({"DEBEMAIL": "Ada <ada@example.org>"}, "Ada <ada@example.org>"),
    ],
)
def test_the_maintainer_is_who_builds_it(environment: dict[str, str], whom: str) -> None:
    assert maintainer(environment) == whom


def test_one_that_nobody_named_is_root_here() -> None:
    assert maintainer({}).startswith("The clues developers <root@")


def test_the_page_and_the_completions_are_put_and_are_the_same_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        _documents(tmp_path / folder)
    for source, place in DOCUMENTS.items():
        first, second = ((tmp_path / folder / place).read_bytes() for folder in ("a", "b"))
        assert first == second
        wanted = (ROOT / "templates" / source).read_bytes()
        assert (gzip.decompress(first) if place.endswith(".gz") else first) == wanted
        assert (tmp_path / "a" / place).stat().st_mode & 0o777 == 0o644
