"""A large cluster that has run for hours: every node has a claim, and between two looks a little has changed.

Jobs end, wait and start. The nodes for CPUs are all in use, and jobs wait for them; those with GPUs stand idle at one
site, and are let go, while jobs want them of the other, and have them bought there. Slurm and the sites do at once what
a plan orders; what a look shows is text, as Slurm prints it, and a listing whose instances are new objects each time.
Beside what really changes (about one record in fifty) one node in ten tells another load, as slurmctld asks each of
them every minute or two.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from clues.model import (
    Action,
    Bind,
    Claim,
    ClaimState,
    Drain,
    Facts,
    Instance,
    InstanceState,
    Kind,
    Launch,
    LaunchOutcome,
    Listing,
    Observed,
    Offer,
    Open,
    Pin,
    Pool,
    PowerOff,
    Resources,
    Settings,
    Site,
    Terminate,
    make_gpus,
)
from clues.model.resources import Gpu
from clues.planner import after_enrolment, after_launch
from lrms.slurm.jobs import SEPARATOR
from lrms.slurm.snapshot import RawSnapshot
from tests.lab.synthetic import TAKEN_AT, as_raw, make_job, node_line, pending_record

CLUSTER = "5eed" * 8 + "0000"
#: between two looks
STEP = timedelta(seconds=10)
#: a VM takes so long until it enrols
_BOOT = timedelta(minutes=2)
#: so long a node stands idle before it is let go
_IDLE = timedelta(minutes=2)
#: so many jobs end and come in a step, and so many of these want GPUs
_COME, _WITH_GPUS = 60, 25
_SITES = ("cesnet", "upv")


@dataclass
class _Machine:
    """A node as Slurm has it, and the VM behind it."""

    name: str
    site: str
    flags: set[str]
    address: str
    #: CPUs that its job holds, and that job
    used: int = 0
    job: str = ""
    reason: str = ""
    started: str = "None"
    last_busy: str = "Unknown"
    load: str = "0.37"
    instance: Instance | None = None
    #: to its site; else it may come from any
    bound: bool = True

    def line(self) -> str:
        kind = self.name[:3]
        base = "ALLOCATED" if self.used == 8 else "MIXED" if self.used else "IDLE"
        gpus = ("gpu:a10:2", f"gpu:a10:{min(2, self.used)}(IDX:0-1)") if kind == "gpu" else ("(null)", "gpu:0")
        return node_line(
            self.name,
            state="+".join([base, "CLOUD", *sorted(self.flags)]),
            cpus_used=self.used,
            gres=gpus[0],
            gres_used=gpus[1],
            active=f"{kind},{self.site}" if self.bound else f"{kind},cesnet,upv,aws",
            address=self.address,
            started=self.started,
            last_busy=self.last_busy,
            reason=f" Reason={self.reason} [root@1795000000]" if self.reason else "",
            load=self.load,
        )


class SteadyCluster:
    """Slurm and two sites of a cluster of *nodes* and *jobs*."""

    def __init__(self, nodes: int = 5000, jobs: int = 10_000, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self.now = TAKEN_AT
        names = [f"cpu-{index:04}" for index in range(1, nodes * 4 // 5 + 1)]
        names += [f"gpu-{index:04}" for index in range(1, nodes - len(names) + 1)]
        self.settings = _settings(names)
        self._machines = {name: self._machine(name, place) for place, name in enumerate(names)}
        self._number, self._jobs = 1000, dict[str, dict[str, str]]()
        for machine in self._machines.values():
            idle = machine.name.startswith("gpu") and machine.site == "cesnet" and self._chance.random() < 0.6
            if "POWERED_DOWN" not in machine.flags and not idle:
                self._run(machine, self._submit())
        while len(self._jobs) < jobs:
            self._submit()
        #: as a ledger of such a cluster would have them
        self.claims = {claim.key: claim for claim in map(self._claim, self._machines.values())}
        for claim in self.claims.values():
            self._machines[claim.node].instance = self._instance(claim)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def look(self) -> RawSnapshot:
        """Return what Slurm prints now, with a mark of this look's own."""
        mark = f"{self._chance.getrandbits(128):032x}"
        pending = "".join([pending_record(one, "", mark) for one in self._jobs.values() if one["State"] == "PENDING"])
        lines = "".join([machine.line() for machine in self._machines.values()])
        return as_raw(self._jobs.values(), pending, lines, len(self._machines), mark)

    def charges(self) -> tuple[str, str]:
        """Return what Slurm prints of the jobs' accounts, and the mark that its records end with."""
        mark = f"{self._chance.getrandbits(128):032x}"
        rows = [(one["JobArrayID"], f"account{int(one['UserName'][4:]) % 40}", "normal") for one in self._jobs.values()]
        return "".join([SEPARATOR.join((*row, f"{mark}\n")) for row in rows]), mark

    def listings(self) -> dict[str, Observed[Listing]]:
        """Return what the sites list now."""
        found: dict[str, list[Instance]] = {site: [] for site in _SITES}
        for machine in self._machines.values():
            if machine.instance is not None:
                found[machine.instance.site].append(replace(machine.instance))
        return {site: Observed(Listing(site, self.now, tuple(each)), self.now) for site, each in found.items()}

    # --- what happens -------------------------------------------------------------------------------------------------

    def obey(self, actions: Iterable[Action], claims: Mapping[str, Claim]) -> list[Claim]:
        """Do at once what a plan orders; return the claims that the answers change."""
        answered = []
        for action in actions:
            match action:
                case Launch(key):
                    claim = claims[key]
                    made = replace(self._instance(claim), state=InstanceState.PENDING)
                    self._machines[claim.node].instance = made
                    answered.append(after_launch(claim, LaunchOutcome(key, made), self.now))
                case Terminate(key):
                    machine = self._machines[claims[key].node]
                    if machine.instance is not None:
                        machine.instance = replace(machine.instance, state=InstanceState.GONE)
                    answered.append(replace(claims[key], confirmed_at=self.now))
                case Open(nodes):
                    for name in nodes:
                        self._machines[name].flags.clear()
                        self._machines[name].reason = ""
                case Drain(nodes, reason):
                    for name in nodes:
                        self._machines[name].flags.add("DRAIN")
                        self._machines[name].reason = reason
                case PowerOff(nodes, reason):
                    for name in nodes:
                        machine = self._machines[name]
                        machine.flags |= {"DRAIN", "POWERED_DOWN"}
                        machine.reason, machine.started = reason, "None"
                case Bind(name, address, features):
                    machine = self._machines[name]
                    machine.address = address or "192.0.2.1"
                    machine.bound = len(features.intersection(_SITES)) == 1
                    machine.site = next(iter(features.intersection(_SITES))) if machine.bound else machine.site
                case Pin(job, site, original):
                    self._jobs[job]["Feature"] = "&".join(part for part in (original, site) if part) or "(null)"
                case _:
                    raise ValueError(f"nothing is known here of {action}")
        return answered

    def go_on(self, claims: Mapping[str, Claim]) -> list[Claim]:
        """Let :data:`STEP` pass; return the claims of VMs that have enrolled in it."""
        self.now += STEP
        running = [one for one in self._machines.values() if one.job]
        for machine in self._chance.sample(running, min(_COME, len(running))):
            del self._jobs[machine.job]
            machine.job, machine.used, machine.last_busy = "", 0, str(int(self.now.timestamp()))
        self._start()
        for place in range(_COME):
            self._submit(gpus=place < _WITH_GPUS)
        for machine in self._chance.sample(list(self._machines.values()), len(self._machines) // 10):
            machine.load = f"{self._chance.random() * 8:.2f}"
        enrolled = []
        for claim in claims.values():
            instance = self._machines[claim.node].instance
            if instance is not None and instance.state is InstanceState.PENDING:
                self._machines[claim.node].instance = replace(instance, state=InstanceState.RUNNING)
            if claim.state is ClaimState.BOOTING and self.now - (claim.launched_at or self.now) >= _BOOT:
                machine = self._machines[claim.node]
                machine.flags.discard("POWERED_DOWN")
                machine.started = str(int(self.now.timestamp()))
                enrolled.append(after_enrolment(claim, _facts(claim), self.now))
        return enrolled

    # --- inside -------------------------------------------------------------------------------------------------------

    def _machine(self, name: str, place: int) -> _Machine:
        site = _SITES[place % 2]
        booting = place % 50 == 7
        flags = {"DRAIN", "POWERED_DOWN"} if booting else {"DRAIN"} if place % 500 == 9 else set()
        address = f"10.77.{place // 250 + 1}.{place % 250 + 1}"
        started = "None" if booting else str(int(self.now.timestamp()) - 60)
        reason = "clues:starting" if booting else "clues:stopping" if flags else ""
        return _Machine(name, site, flags, address, started=started, reason=reason)

    def _start(self) -> None:
        """Give jobs the nodes that are open and free, as Slurm would, one for each."""
        free: dict[tuple[str, str], list[_Machine]] = {}
        for machine in self._machines.values():
            if not machine.flags and not machine.job:
                free.setdefault((machine.name[:3], machine.site), []).append(machine)
        for record in self._jobs.values():
            sites = [record["Feature"]] if record["Feature"] in _SITES else _SITES
            for site in sites if record["State"] == "PENDING" and record["NumNodes"] == "1" else ():
                if found := free.get((record["Partition"], site)):
                    self._run(found.pop(), record)
                    break

    def _submit(self, *, gpus: bool = False) -> dict[str, str]:
        self._number += 1
        while self._number % 10 == 0 or self._number % 7 == 0:  # these would run at once, or want GPUs
            self._number += 1
        record = make_job(self._chance, self._number, (), int(self.now.timestamp()))
        if gpus:
            record |= {"Partition": "gpu", "tres-per-node": "gres:gpu:a10:1", "Feature": "upv", "MinMemory": "1000M"}
            record |= {"NumNodes": "1", "MaxNodes": "1", "tres-alloc": "cpu=1,mem=1000M,node=1,billing=1"}
            record |= {"JobArrayID": record["JobID"], "NumTasks": "1", "NumCPUs": "1", "Reason": "Resources"}
        self._jobs[str(self._number)] = record
        return record

    def _run(self, machine: _Machine, record: dict[str, str]) -> None:
        now = str(int(self.now.timestamp()))
        cpus = 8 if self._chance.random() < 0.9 else min(8, int(record["NumCPUs"]))  # others of its user fill the rest
        record |= {"State": "RUNNING", "Reason": "None", "StartTime": now, "NodeList": machine.name}
        record |= {"JobArrayID": record["JobID"]}
        machine.job, machine.used, machine.last_busy = record["JobID"], cpus, now

    def _claim(self, machine: _Machine) -> Claim:
        pool = self.settings.pools[machine.name[:3]]
        offer = next(one for one in pool.offers if one.site == machine.site)
        born = self.now - timedelta(hours=2) * self._chance.random()
        state = ClaimState.READY
        if "POWERED_DOWN" in machine.flags:
            state, born = ClaimState.BOOTING, self.now - _BOOT * self._chance.random()
        elif machine.flags:
            state = ClaimState.DRAINING
        served = born + _BOOT if state is not ClaimState.BOOTING else None
        return Claim(
            key=f"{CLUSTER[:8]}-{machine.name}-1-{int(born.timestamp()):x}",
            kind=Kind.WORKER,
            node=machine.name,
            pool=pool.name,
            generation=1,
            offer=offer,
            shape=pool.shape,
            state=state,
            since=served or born,
            created_at=born,
            reason="slurmd registered, checks passed",
            address=machine.address,
            listed_addresses=(machine.address,),
            instance_id=f"vm-{machine.name}-1",
            launches=1,
            launched_at=born,
            listed_at=born + timedelta(seconds=30),
            enrolled_at=served,
            ready_at=served,
            opened_at=served,
            used_at=served,
            idle_since=None if machine.job else self.now - _IDLE * self._chance.random(),
        )

    def _instance(self, claim: Claim) -> Instance:
        return Instance(
            id=f"vm-{claim.node}-{claim.generation}",
            site=claim.offer.site,
            state=InstanceState.RUNNING,
            cluster=CLUSTER,
            launch_key=claim.key,
            node=claim.node,
            kind="worker",
            pool=claim.pool,
            generation=claim.generation,
            offer=claim.offer.key,
            addresses=(self._machines[claim.node].address,),
        )


def _facts(claim: Claim) -> Facts:
    shape = claim.shape
    return Facts(shape.cpus, shape.memory_mib, Resources(gpus=shape.gpus))


def _settings(names: list[str]) -> Settings:
    offers = (Offer("cesnet", "m", "i", price_per_hour=0.08), Offer("upv", "m", "i", price_per_hour=0.1))
    shapes = {"cpu": Resources(8, 30000), "gpu": Resources(8, 30000, make_gpus([Gpu("a10", 2)]))}
    pools = {
        kind: Pool(
            kind,
            tuple(name for name in names if name.startswith(kind)),
            shape,
            offers,
            partitions=(kind,),
            idle=_IDLE,
        )
        for kind, shape in shapes.items()
    }
    return Settings("bench", {site: Site(site, "local") for site in _SITES}, pools)
