"""How workers start, in the file: hooks, GPU checks, the dead man's timer; and what is told of mistakes in them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from clues.config import GpuChecks, Hook, Workers, check, load
from tests.unit.config_example import PLUGINS, SMALL, write

WRITTEN = """
workers:
  hooks:
    - /etc/clues/hooks/cvmfs.sh
    - {file: /etc/clues/hooks/scratch, timeout: 30s, required: false, sites: a, pools: [cpu]}
  gpus:
    driver: "535.104"
    names: {a100_40: "NVIDIA A100-SXM4-40GB", small: [NVIDIA A100-SXM4-40GB MIG 1g.5gb]}
    ecc: false
  dead_man: 30min
  guard_metadata: false
"""


def test_all_of_it_is_read(tmp_path: Path) -> None:
    workers = load(write(tmp_path, SMALL + WRITTEN), PLUGINS).workers
    assert workers == Workers(
        hooks=(
            Hook("cvmfs", Path("/etc/clues/hooks/cvmfs.sh"), timedelta(minutes=2)),
            Hook("scratch", Path("/etc/clues/hooks/scratch"), timedelta(seconds=30), False, ("a",), ("cpu",)),
        ),
        gpus=GpuChecks(
            driver="535.104",
            names={"a100_40": ("NVIDIA A100-SXM4-40GB",), "small": ("NVIDIA A100-SXM4-40GB MIG 1g.5gb",)},
            ecc=False,
        ),
        dead_man=timedelta(minutes=30),
        guard_metadata=False,
    )


def test_without_it_nothing_runs_and_everything_is_looked_at(tmp_path: Path) -> None:
    workers = load(write(tmp_path, SMALL), PLUGINS).workers
    assert workers == Workers((), GpuChecks(True, "", {}, True, True), timedelta(hours=1), True)


@pytest.mark.parametrize(
    ("hook", "site", "pool", "runs"),
    [
        (Hook("h", Path("/h"), timedelta(1)), "a", "cpu", True),
        (Hook("h", Path("/h"), timedelta(1), sites=("b",)), "a", "cpu", False),
        (Hook("h", Path("/h"), timedelta(1), pools=("cpu",)), "a", "cpu", True),
        (Hook("h", Path("/h"), timedelta(1), sites=("a",), pools=("gpu",)), "a", "cpu", False),
    ],
)
def test_a_hook_runs_where_it_is_meant_to(hook: Hook, site: str, pool: str, runs: bool) -> None:
    assert hook.runs_at(site, pool) is runs


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("hooks: [scratch]", "'scratch' is not an absolute path"),
        ("hooks: [/a/x, /b/x.sh]", "there is a hook x already"),
        ("hooks: ['/a/b c']", "write a name"),
        ("hooks: [{file: /a, sites: nowhere}]", "there is no site 'nowhere'"),
        ("hooks: [{file: /a, pools: gpus}]", "there is no pool 'gpus'"),
        ("hooks: [{file: /a, timeout: 10min}]", "longer than the boot of pool cpu may take (4 min"),
        ("hooks: [{file: /a, timeout: 0s}]", "has to be longer than nothing"),
        ("gpus: {driver: 535}", 'write a version in quotes, such as "535.104"'),
        ("gpus: {driver: new}", "write a version"),
        ('gpus: {names: {a10: "$(reboot)"}}', "is no name of a GPU"),
        ('gpus: {names: {"a 10": NVIDIA A10}}', "cannot be a name"),
        ("dead_man: soon", "soon"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, written: str, told: str) -> None:
    checked = check(write(tmp_path, f"{SMALL}\nworkers:\n  {written}\n"), PLUGINS)
    assert told in "\n".join(checked.errors)
    assert len(checked.errors) == 1
