"""The wheel works in an environment of its own: programs, plugins, templates and units are found in it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.unit.config_example import EXAMPLE

ROOT = Path(__file__).parents[2]


def said(*command: str | Path) -> str:
    """Return what a command prints."""
    done = subprocess.run([*command], capture_output=True, text=True, check=False, cwd="/", timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """The wheel, installed. Its dependencies, which are others' work, are those of these tests."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    said(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}", ROOT)
    venv = tmp_path / "venv"
    said(sys.executable, "-m", "venv", "--without-pip", venv)
    wheel = next(tmp_path.glob("clues-*.whl"))
    said(*pip, f"--python={venv / 'bin/python'}", "install", "-q", "--no-deps", wheel)
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def test_a_wheel_has_all_that_it_needs(venv: Path, tmp_path: Path) -> None:
    where = said(
        venv / "bin/python", "-c", "from clues import templates; print(templates.folder(), templates.systemd())"
    )
    assert all(str(venv) in place for place in where.split())
    config = tmp_path / "clues.yaml"
    config.write_text(EXAMPLE)
    clues = venv / "bin/clues"
    assert said(clues, "version", "--socket=/nonexistent").startswith("clues ")
    assert said(venv / "bin/cluesd", "--version").startswith("cluesd ")
    assert "3 sites" in said(clues, "config", "check", config)
    assert "NodeName=" in said(clues, "slurm-config", config)
    (tmp_path / "root").mkdir()
    told = said(clues, "install", "--dry-run", f"--root={tmp_path / 'root'}")
    assert "put     /etc/systemd/system/cluesd.service" in told
