"""What the front-end keeps: who there is, what they have, and the VMs with their lives.

A test turns the screws: how many VMs have room, what fails next, how fast things go. Nothing here knows HTTP.
"""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Iterable

from tests.lab.opennebula.machine import ACTIVE, DONE, NEXT, At, Machine, at, name_of
from tests.lab.opennebula.objects import Group, Image, Network, User, VmTemplate
from tests.lab.opennebula.quotas import UNLIMITED, Quotas
from tests.lab.opennebula.template import Template, parse

#: What a template of this cloud looks like; GPU templates have a PCI device more.
_MEDIUM = """
CPU = 2  VCPU = 4  MEMORY = 8192
DISK = [ IMAGE_ID = 0, DEV_PREFIX = vd ]
NIC = [ NETWORK = "default", MODEL = virtio ]
CONTEXT = [ NETWORK = YES, SSH_PUBLIC_KEY = "$USER[SSH_PUBLIC_KEY]", DNS_HOSTNAME = YES ]
DESCRIPTION = "Debian 12"
"""

#: The scheduler's words when no host has room.
NO_ROOM = {
    "6.10.0": "{time} : No host with enough capacity to deploy the VM",
    "7.4.0": "Cannot allocate VM. [HOST] Not enough CPU on hosts: 0,1",
}
VERSIONS = tuple(NO_ROOM)


class Cloud:
    """One zone of OpenNebula."""

    def __init__(self, version: str = "6.10.0", *, pace: float | None = None) -> None:
        """:param pace: seconds that a VM stays in each state; None: it moves only by :meth:`advance`."""
        self.version, self.pace = version, pace
        #: seconds by which its clock is ahead of ours
        self.skew = 0.0
        #: how many VMs the hosts have room for
        self.room = 1000
        #: how many of the next ones go wrong so
        self.deploys_fail, self.cancels_fail = 0, 0
        #: the next `terminate-hard`s are refused, as for a VM that somebody has locked / accepted without effect
        self.terminates_refused, self.terminates_ignored = 0, 0
        #: the next listing shows each VM twice
        self.listed_twice = False
        #: ONEGATE_ENDPOINT stands in oned.conf
        self.onegate = False
        self.lock = threading.RLock()
        self.machines: dict[int, Machine] = {}
        self._vm_ids = itertools.count()
        self.groups = {0: Group(0, "oneadmin"), 1: Group(1, "users"), 100: Group(100, "hpc")}
        self.users = {
            0: User(0, "oneadmin", "opennebula", self.groups[0]),
            2: User(2, "clues", "s3cret:with colon", self.groups[100]),
            3: User(3, "mallory", "hers", self.groups[100]),
            4: User(4, "other", "theirs", self.groups[1]),
        }
        self.user_defaults, self.group_defaults = Quotas(UNLIMITED), Quotas(UNLIMITED)
        admin = self.users[0]
        self.images = {
            0: Image(0, "debian-12", admin),
            1: Image(1, "clues-worker", admin, size_mb=4096),
            2: Image(2, "clues-worker", self.users[4], mode=0o600),
        }
        self.networks = {
            0: Network(0, "default", admin, first="192.168.150.2", size=250),
            1: Network(1, "clues-net", admin, first="10.77.2.2", size=253),
        }
        gpu = parse(_MEDIUM + 'PCI = [ VENDOR = "10de", DEVICE = "20b5", CLASS = "0302" ]')
        self.templates = {
            0: VmTemplate(0, "medium", admin, content=parse(_MEDIUM)),
            1: VmTemplate(1, "gpu", admin, content=gpu),
            2: VmTemplate(2, "priced", admin, content=parse(_MEDIUM + "CPU_COST = 0.01 MEMORY_COST = 0.000005")),
        }

    # --- clock ----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return its wall time."""
        return time.time() + self.skew

    def catch_up(self) -> None:
        """Take the steps that are due, where there is a pace."""
        if self.pace is None:
            return
        with self.lock:
            for machine in self.machines.values():
                while not machine.stuck and machine.where in NEXT and machine.due <= time.monotonic():
                    before = machine.where
                    self.step(machine)
                    if machine.where == before:
                        break

    def advance(self, vm: int | None = None, *, to: str = "", steps: int = 1) -> None:
        """Let all VMs, or one, take steps; *to* names the state in which it shall arrive."""
        with self.lock:
            for machine in [self.machines[vm]] if vm is not None else list(self.machines.values()):
                for _ in range(20 if to else steps):
                    if to and name_of(machine.where) == to:
                        break
                    self.step(machine)
                if to and name_of(machine.where) != to:
                    raise AssertionError(f"VM {machine.id} came to {name_of(machine.where)}, not to {to}")

    def step(self, machine: Machine) -> None:
        """Let one VM take one step, if there is one."""
        here = machine.where
        there = NEXT.get(here)
        if there is None:
            return
        if here == at("PENDING") and not self._schedule(machine):
            machine.due = time.monotonic() + (self.pace or 0)
            return
        if here == at("BOOT") and self.deploys_fail:
            self.deploys_fail -= 1
            machine.user_template.put("ERROR", "Error deploying virtual machine")
            there = at("BOOT_FAILURE")
        elif here == at("SHUTDOWN") and self.cancels_fail:
            self.cancels_fail -= 1
            there = at("RUNNING")  # and no ERROR is left to tell of it
        self.move(machine, there)

    def move(self, machine: Machine, where: At) -> None:
        """Put a VM into a state; one that is DONE gives back what it had."""
        was_done = machine.done
        machine.where, machine.due = where, time.monotonic() + (self.pace or 0)
        if machine.done and not was_done:
            machine.ended, machine.has_host = int(self.now()), False
            self.charge(machine, -1)
            for network in self.networks.values():
                network.leases = {address: vm for address, vm in network.leases.items() if vm != machine.id}

    def _schedule(self, machine: Machine) -> bool:
        """Give a VM a host, or say why it has none: it is a success all the same."""
        taken = sum(one.has_host for one in self.machines.values())
        if taken >= self.room:
            words = NO_ROOM[self.version].format(time=time.ctime(self.now()))
            machine.user_template.put("SCHED_MESSAGE", words)
            return False
        machine.has_host = True
        machine.user_template = machine.user_template.only(frozenset({"SCHED_MESSAGE"}), without=True)
        return True

    # --- VMs ------------------------------------------------------------------------------------------------------

    def charge(self, machine: Machine, sign: int) -> None:
        """Book a VM on its owner and the owner's group; oneadmin and its group are beyond quotas."""
        for quotas in self.quotas_of(machine.owner):
            quotas[0].charge(machine.usage, sign)

    def quotas_of(self, user: User) -> Iterable[tuple[Quotas, Quotas, str]]:
        """Return what holds for a user: quotas, their defaults, and whose they are in oned's words."""
        if user.id != 0:
            yield user.quotas, self.user_defaults, f"user [{user.id}]"
        if user.group.id != 0:
            yield user.group.quotas, self.group_defaults, f"group [{user.group.id}]"

    def next_id(self) -> int:
        """Return the id of the next VM; the first one is 0."""
        return next(self._vm_ids)

    def set_state(self, vm: int, name: str) -> None:
        """Put a VM into a state, and let it stay there."""
        with self.lock:
            machine = self.machines[vm]
            machine.stuck = True
            machine.has_host = at(name)[0] == ACTIVE
            self.move(machine, at(name))

    def state_of(self, vm: int) -> str:
        """Return oned's name of a VM's state."""
        with self.lock:
            return name_of(self.machines[vm].where)

    def alive(self) -> int:
        """Return how many VMs are not DONE, whoever's."""
        with self.lock:
            return sum(not machine.done for machine in self.machines.values())

    def add_machine(self, owner: User, name: str, user_template: Template, state: str = "RUNNING") -> Machine:
        """Add a VM behind everybody's back: no quota is asked, no host is taken."""
        with self.lock:
            content = Template([("CPU", "1"), ("MEMORY", "1024")])
            machine = Machine(self.next_id(), name, owner, 0o600, content, user_template, at(state))
            machine.started, machine.due = int(self.now()), time.monotonic() + (self.pace or 0)
            self.machines[machine.id] = machine
            return machine

    def context_of(self, vm: int) -> dict[str, str]:
        """Return what the VM itself reads in its context.sh, USER_DATA decoded as cloud-init does it."""
        with self.lock:
            machine = self.machines[vm]
            (context,) = machine.template.vectors("CONTEXT")
        seen = dict(context)
        name = "USER_DATA" if "USER_DATA" in seen else "USERDATA"
        coding = seen.get("USERDATA_ENCODING", seen.get("USER_DATA_ENCODING", ""))
        if name in seen and coding == "base64":
            seen[name] = base64.b64decode(seen[name]).decode()
        return seen


__all__ = ["ACTIVE", "DONE", "NO_ROOM", "VERSIONS", "Cloud"]
