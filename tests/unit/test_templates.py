"""Templates are found in a checkout and in an installed wheel, and nothing outside their folder is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clues import templates

CHECKOUT = Path(templates.__file__).resolve().parent.parent
READ = "from clues import templates; print(templates.folder()); print(templates.read('slurm/note'), end='')"


def install(root: Path, templates_at: str | None) -> Path:
    """The package as an installation at `root` would have it, with its templates at `templates_at`."""
    package = root / "clues"
    package.mkdir(parents=True)
    for name in ("__init__.py", "templates.py"):
        shutil.copy(CHECKOUT / "clues" / name, package / name)
    if templates_at is not None:
        (root / templates_at / "slurm").mkdir(parents=True)
        (root / templates_at / "slurm" / "note").write_text(f"from {templates_at}\n", encoding="utf-8")
    return root


def read_from(root: Path) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter that only sees `root` prints."""
    argv = [sys.executable, "-S", "-c", READ]
    return subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False, timeout=60)


def test_a_checkout_finds_its_own_templates() -> None:
    assert templates.folder() == CHECKOUT / "templates"
    assert templates.read("README.md").startswith("# Templates")


@pytest.mark.parametrize("place", ["templates", "clues/_templates"])
def test_the_same_name_is_found_in_a_checkout_and_in_a_wheel(tmp_path: Path, place: str) -> None:
    root = install(tmp_path / "site packages", place)
    assert read_from(root).stdout.splitlines() == [str(root / place), f"from {place}"]


def test_an_installation_without_templates_says_where_it_looked(tmp_path: Path) -> None:
    root = install(tmp_path, None)
    answer = read_from(root)
    assert answer.returncode != 0
    assert f"no templates: neither {root}/clues/_templates nor {root}/templates" in answer.stderr


@pytest.mark.parametrize("name", ["../pyproject.toml", "slurm/../../LICENSE", "/etc/passwd", "", "."])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a template"):
        templates.read(name)


def test_a_template_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        templates.read("no/such/file")
