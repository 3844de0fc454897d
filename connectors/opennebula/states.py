"""What OpenNebula's states amount to: STATE, and LCM_STATE where that is ACTIVE (include/VirtualMachine.h).

A number that stands in no table is UNKNOWN, and nothing is decided from it.

That a VM finds no host is no failure to OpenNebula: it stays PENDING, for ever, and the scheduler writes down why. So
one that has waited too long is told as an error for want of capacity. USER_TEMPLATE/ERROR, on the other hand, may stand
at a VM that runs, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from clues.model import InstanceState
from connectors.opennebula.records import Vm

PENDING, ACTIVE = 1, 3
PROLOG, BOOT, RUNNING = 1, 2, 3

STATES: Mapping[int, InstanceState] = {
    0: InstanceState.PENDING,  # INIT
    PENDING: InstanceState.PENDING,
    2: InstanceState.STOPPED,  # HOLD: nobody will start it until somebody releases it
    4: InstanceState.STOPPED,  # STOPPED
    5: InstanceState.STOPPED,  # SUSPENDED
    6: InstanceState.GONE,  # DONE
    8: InstanceState.STOPPED,  # POWEROFF
    9: InstanceState.STOPPED,  # UNDEPLOYED
    10: InstanceState.PENDING,  # CLONING
    11: InstanceState.ERROR,  # CLONING_FAILURE
}

LCM_STATES: Mapping[int, InstanceState] = {
    # on its way up: LCM_INIT, PROLOG, BOOT, PROLOG_RESUME, CLEANUP_RESUBMIT, BOOT_UNKNOWN, BOOT_POWEROFF,
    # BOOT_SUSPENDED, BOOT_STOPPED, PROLOG_UNDEPLOY, BOOT_UNDEPLOY
    **dict.fromkeys((0, PROLOG, BOOT, 9, 15, 19, 20, 21, 22, 31, 32), InstanceState.PENDING),
    # it runs, whatever is done to it: RUNNING, MIGRATE (live), HOTPLUG, HOTPLUG_SNAPSHOT, HOTPLUG_NIC, HOTPLUG_SAVEAS,
    # DISK_SNAPSHOT, DISK_SNAPSHOT_DELETE, DISK_RESIZE, HOTPLUG_RESIZE, BACKUP
    **dict.fromkeys((RUNNING, 4, 17, 24, 25, 26, 57, 59, 62, 66, 69), InstanceState.RUNNING),
    # on its way down: SAVE_STOP, SAVE_SUSPEND, EPILOG_STOP, EPILOG, SHUTDOWN, SHUTDOWN_POWEROFF, CLEANUP_DELETE,
    # SHUTDOWN_UNDEPLOY, EPILOG_UNDEPLOY
    **dict.fromkeys((5, 6, 10, 11, 12, 18, 23, 29, 30), InstanceState.STOPPING),
    # it is off, whatever is done to it: HOTPLUG_SAVEAS_POWEROFF, _SUSPENDED, HOTPLUG_PROLOG_POWEROFF,
    # HOTPLUG_EPILOG_POWEROFF, PROLOG_MIGRATE_POWEROFF, PROLOG_MIGRATE_SUSPEND, DISK_SNAPSHOT_*, DISK_RESIZE_*,
    # HOTPLUG_NIC_POWEROFF, HOTPLUG_SAVEAS_UNDEPLOYED, HOTPLUG_SAVEAS_STOPPED, BACKUP_POWEROFF, RESTORE
    **dict.fromkeys((27, 28, 33, 34, 43, 45, 51, 52, 53, 54, 56, 63, 64, 65, 67, 68, 70, 71), InstanceState.STOPPED),
    # its host does not answer, or it is being carried to another, from where it may come back: SAVE_MIGRATE,
    # PROLOG_MIGRATE, UNKNOWN, BOOT_MIGRATE, PROLOG_MIGRATE_UNKNOWN
    **dict.fromkeys((7, 8, 16, 35, 60), InstanceState.UNKNOWN),
    # *_FAILURE
    **dict.fromkeys((36, 37, 38, 39, 40, 41, 42, 44, 46, 47, 48, 49, 50, 61), InstanceState.ERROR),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a VM's state amounts to, with the provider's words and their type where it is an error."""

    state: InstanceState
    fault: str = ""
    fault_code: str = ""


def state_of(vm: Vm) -> InstanceState:
    """Return what the tables say."""
    table, number = (LCM_STATES, vm.lcm_state) if vm.state == ACTIVE else (STATES, vm.state)
    return table.get(number, InstanceState.UNKNOWN)


def judge(vm: Vm, *, now: float, patience: timedelta) -> Verdict:
    """Return what a VM's state amounts to.

    :param now: Unix time by the front-end's clock.
    :param patience: how long a VM may wait for a host.
    """
    state = state_of(vm)
    if vm.state == PENDING and now - vm.started >= patience.total_seconds():
        waited = f"no host took it in {(now - vm.started) / 60:.0f} min"
        words = vm.user.get("SCHED_MESSAGE", "") or "the scheduler says nothing"
        return Verdict(InstanceState.ERROR, f"{waited}: {words}", "no-capacity")
    if state is InstanceState.ERROR:
        words = vm.user.get("ERROR", "") or "OpenNebula does not say why"
        return Verdict(state, f"state {vm.state}/{vm.lcm_state}: {words}")
    return Verdict(state)
