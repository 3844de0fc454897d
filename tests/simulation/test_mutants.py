"""The tests are tested: daemons that are broken by one line each are caught by the simulation, every one of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, ROOT, passes_unit_tests

#: Those that take longer to be caught than the quick tests may take.
LONG = {
    "a breaker is not closed by what works",
    "a failed launch is closed without a look",
    "a stopped VM is gone when one listing lacks it",
    "the next hour need not bear what this one buys",
    "what VMs cost counts as booked before it is on the disk",
}

#: Those that no unit test of planner, reconciler and ledger sees.
ONLY_WORLDS = [name for name, mutant in MUTANTS.items() if mutant.only_worlds]


def _is_caught(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants", name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr[-2000:]}"
    assert done.stdout.startswith("caught in "), done.stdout


@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in LONG])
def test_a_daemon_that_is_broken_by_one_line_is_caught(name: str) -> None:
    _is_caught(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_a_daemon_that_is_broken_less_obviously_is_caught(name: str) -> None:
    _is_caught(name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ONLY_WORLDS)
def test_what_worlds_alone_catch_passes_the_unit_tests(name: str) -> None:
    assert passes_unit_tests(name)


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15
    assert len(ONLY_WORLDS) >= 15
    assert len({mutant.module for mutant in MUTANTS.values()}) >= 10
