"""A VM's life as it was observed: STATE, and LCM_STATE while STATE is ACTIVE.

    create     (1,0) -> (3,0) -> (3,1) -> (3,2) -> (3,3)
    terminate  (3,3) -> (3,12) -> (3,11) -> (6,0)
    a deployment that failed stands at (3,36), and goes by (3,23) to (6,0)

The names are oned's own (include/VirtualMachine.h). A VM takes one step at a time: when a test says so, or by itself at
the cloud's pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.opennebula.objects import Owned
from tests.lab.opennebula.quotas import Usage
from tests.lab.opennebula.template import Template

STATES: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        "INIT PENDING HOLD ACTIVE STOPPED SUSPENDED DONE - POWEROFF UNDEPLOYED CLONING CLONING_FAILURE".split()
    )
    if name != "-"
}
LCM_STATES: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        """LCM_INIT PROLOG BOOT RUNNING MIGRATE SAVE_STOP SAVE_SUSPEND SAVE_MIGRATE PROLOG_MIGRATE PROLOG_RESUME
        EPILOG_STOP EPILOG SHUTDOWN - - CLEANUP_RESUBMIT UNKNOWN HOTPLUG SHUTDOWN_POWEROFF BOOT_UNKNOWN
        BOOT_POWEROFF BOOT_SUSPENDED BOOT_STOPPED CLEANUP_DELETE HOTPLUG_SNAPSHOT HOTPLUG_NIC HOTPLUG_SAVEAS
        HOTPLUG_SAVEAS_POWEROFF HOTPLUG_SAVEAS_SUSPENDED SHUTDOWN_UNDEPLOY EPILOG_UNDEPLOY PROLOG_UNDEPLOY
        BOOT_UNDEPLOY HOTPLUG_PROLOG_POWEROFF HOTPLUG_EPILOG_POWEROFF BOOT_MIGRATE BOOT_FAILURE
        BOOT_MIGRATE_FAILURE PROLOG_MIGRATE_FAILURE PROLOG_FAILURE EPILOG_FAILURE EPILOG_STOP_FAILURE
        EPILOG_UNDEPLOY_FAILURE PROLOG_MIGRATE_POWEROFF PROLOG_MIGRATE_POWEROFF_FAILURE PROLOG_MIGRATE_SUSPEND
        PROLOG_MIGRATE_SUSPEND_FAILURE BOOT_UNDEPLOY_FAILURE BOOT_STOPPED_FAILURE PROLOG_RESUME_FAILURE
        PROLOG_UNDEPLOY_FAILURE DISK_SNAPSHOT_POWEROFF DISK_SNAPSHOT_REVERT_POWEROFF
        DISK_SNAPSHOT_DELETE_POWEROFF DISK_SNAPSHOT_SUSPENDED - DISK_SNAPSHOT_DELETE_SUSPENDED DISK_SNAPSHOT -
        DISK_SNAPSHOT_DELETE PROLOG_MIGRATE_UNKNOWN PROLOG_MIGRATE_UNKNOWN_FAILURE DISK_RESIZE
        DISK_RESIZE_POWEROFF DISK_RESIZE_UNDEPLOYED HOTPLUG_NIC_POWEROFF HOTPLUG_RESIZE
        HOTPLUG_SAVEAS_UNDEPLOYED HOTPLUG_SAVEAS_STOPPED BACKUP BACKUP_POWEROFF RESTORE""".split()
    )
    if name != "-"
}
_STATE_NAMES = {number: name for name, number in STATES.items()}
_LCM_NAMES = {number: name for name, number in LCM_STATES.items()}

ACTIVE, DONE = STATES["ACTIVE"], STATES["DONE"]
At = tuple[int, int]


def at(name: str) -> At:
    """Return STATE and LCM_STATE of a name; ``3/99`` is for those that have none."""
    if "/" in name:
        state, _, lcm = name.partition("/")
        return int(state), int(lcm)
    return (STATES[name], 0) if name in STATES else (ACTIVE, LCM_STATES[name])


def name_of(where: At) -> str:
    """Return oned's name of a state: LCM_STATE's while it is active."""
    state, lcm = where
    names, number = (_LCM_NAMES, lcm) if state == ACTIVE else (_STATE_NAMES, state)
    return names.get(number, f"{state}/{lcm}")


#: What comes next by itself. Where it may go wrong, :class:`tests.lab.opennebula.cloud.Cloud` decides.
NEXT: Mapping[At, At] = {
    at("PENDING"): at("LCM_INIT"),
    at("LCM_INIT"): at("PROLOG"),
    at("PROLOG"): at("BOOT"),
    at("BOOT"): at("RUNNING"),
    at("SHUTDOWN"): at("EPILOG"),
    at("EPILOG"): at("DONE"),
    at("CLEANUP_DELETE"): at("DONE"),
}

#: Where `terminate-hard` leads to; from all other states it is refused, above all from PROLOG and BOOT.
TERMINATE_HARD: Mapping[At, At] = {
    **{at(name): at("DONE") for name in ("INIT", "PENDING", "HOLD", "CLONING", "CLONING_FAILURE", "DONE")},
    **{at(name): at("EPILOG") for name in ("STOPPED", "SUSPENDED", "POWEROFF", "UNDEPLOYED")},
    **{at(name): at("SHUTDOWN") for name in ("RUNNING", "UNKNOWN", "SHUTDOWN")},
    **{at(name): at("CLEANUP_DELETE") for name in LCM_STATES if name.endswith("_FAILURE")},
}
#: The same for `terminate`, which SHUTDOWN does not accept.
TERMINATE: Mapping[At, At] = {here: there for here, there in TERMINATE_HARD.items() if here != at("SHUTDOWN")}


@dataclass
class Machine(Owned):
    """One VM."""

    template: Template = field(default_factory=Template)
    user_template: Template = field(default_factory=Template)
    where: At = (1, 0)
    started: int = 0
    ended: int = 0
    #: what it counts for in the quotas; all of it, also while it is on hold
    usage: Usage = field(default_factory=dict)
    #: it takes no step by itself
    stuck: bool = False
    #: when its next step is due (monotonic)
    due: float = 0.0
    has_host: bool = False

    @property
    def done(self) -> bool:
        """Whether it is DONE."""
        return self.where[0] == DONE

    def xml(self) -> str:
        """Return it as ``one.vm.info`` and ``one.vmpool.infoextended`` tell it."""
        return self._xml(self.template, self.user_template)

    def short_xml(self) -> str:
        """Return it as ``one.vmpool.info`` tells it: an empty USER_TEMPLATE, and no CONTEXT."""
        return self._xml(self.template.only(frozenset({"CPU", "MEMORY", "DISK", "NIC", "GRAPHICS"})), Template())

    def _xml(self, template: Template, user_template: Template) -> str:
        state, lcm = self.where
        return (
            f"<VM>{self.head()}<LAST_POLL>0</LAST_POLL><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
            f"<PREV_STATE>{state}</PREV_STATE><PREV_LCM_STATE>{lcm}</PREV_LCM_STATE><RESCHED>0</RESCHED>"
            f"<STIME>{self.started}</STIME><ETIME>{self.ended}</ETIME><DEPLOY_ID/><MONITORING/><SCHED_ACTIONS/>"
            f"{template.xml()}{user_template.xml('USER_TEMPLATE')}<HISTORY_RECORDS/></VM>"
        )
