"""What OpenNebula's states amount to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.model import InstanceState
from connectors.opennebula.records import Vm
from connectors.opennebula.states import LCM_STATES, STATES, judge, state_of
from tests.lab.opennebula import machine

PATIENCE = timedelta(minutes=3)
BEGAN = 1_700_000_000


def vm(state: int, lcm: int = 0, **user: str) -> Vm:
    """Return a VM in a state."""
    return Vm(7, "cpu-001", 2, state, lcm, BEGAN, 0, user, ())


def test_every_state_of_oned_stands_in_a_table_and_no_other() -> None:
    assert set(STATES) == set(machine.STATES.values()) - {3}
    assert set(LCM_STATES) == set(machine.LCM_STATES.values())


def test_all_failures_are_errors_and_nothing_else_is() -> None:
    failed = {number for name, number in machine.LCM_STATES.items() if name.endswith("_FAILURE")}
    assert {number for number, state in LCM_STATES.items() if state is InstanceState.ERROR} == failed
    assert [number for number, state in STATES.items() if state is InstanceState.ERROR] == [11]


@pytest.mark.parametrize(
    ("state", "lcm", "expected"),
    [
        (1, 0, InstanceState.PENDING),
        (3, 0, InstanceState.PENDING),
        (3, 1, InstanceState.PENDING),
        (3, 2, InstanceState.PENDING),
        (3, 3, InstanceState.RUNNING),
        (3, 12, InstanceState.STOPPING),
        (3, 11, InstanceState.STOPPING),
        (3, 23, InstanceState.STOPPING),
        (6, 0, InstanceState.GONE),
        (8, 0, InstanceState.STOPPED),
        (3, 16, InstanceState.UNKNOWN),
        (3, 36, InstanceState.ERROR),
        (3, 44, InstanceState.ERROR),
        (3, 43, InstanceState.STOPPED),
        # LCM_STATE counts only while STATE is ACTIVE
        (8, 3, InstanceState.STOPPED),
        # numbers of versions to come
        (7, 0, InstanceState.UNKNOWN),
        (12, 0, InstanceState.UNKNOWN),
        (3, 13, InstanceState.UNKNOWN),
        (3, 72, InstanceState.UNKNOWN),
    ],
)
def test_the_tables_say_what_was_observed(state: int, lcm: int, expected: InstanceState) -> None:
    assert state_of(vm(state, lcm)) is expected


def test_only_what_certainly_has_ended_is_gone() -> None:
    assert [number for number, state in STATES.items() if state is InstanceState.GONE] == [6]
    assert InstanceState.GONE not in LCM_STATES.values()


@pytest.mark.parametrize("words", ["No host with enough capacity", "[HOST] Not enough CPU on hosts: 0"])
def test_a_vm_that_waited_too_long_for_a_host_is_told_as_no_capacity(words: str) -> None:
    waiting = vm(1, SCHED_MESSAGE=words)
    early = judge(waiting, now=BEGAN + 179, patience=PATIENCE)
    assert (early.state, early.fault_code) == (InstanceState.PENDING, "")
    late = judge(waiting, now=BEGAN + 180, patience=PATIENCE)
    assert (late.state, late.fault_code) == (InstanceState.ERROR, "no-capacity")
    assert words in late.fault


def test_a_scheduler_that_says_nothing_does_not_keep_a_vm_waiting_for_ever() -> None:
    assert judge(vm(1), now=BEGAN + 999, patience=PATIENCE).fault_code == "no-capacity"


def test_a_vm_that_has_found_a_host_is_not_short_of_one_however_old_it_is() -> None:
    for lcm in (0, 1, 2, 3):
        told = judge(vm(3, lcm, SCHED_MESSAGE="No host"), now=BEGAN + 10**6, patience=PATIENCE)
        assert (told.state is InstanceState.ERROR, told.fault_code) == (False, "")


def test_an_error_that_stands_at_a_vm_that_runs_decides_nothing() -> None:
    told = judge(vm(3, 3, ERROR="could not do something"), now=BEGAN, patience=PATIENCE)
    assert (told.state, told.fault) == (InstanceState.RUNNING, "")


def test_a_failure_keeps_oned_s_words() -> None:
    told = judge(vm(3, 36, ERROR="Error deploying virtual machine"), now=BEGAN, patience=PATIENCE)
    assert (told.state, told.fault_code) == (InstanceState.ERROR, "")
    assert "Error deploying virtual machine" in told.fault
    assert "3/36" in told.fault
