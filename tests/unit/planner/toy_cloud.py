"""A cloud in memory: VMs that take their time, answers that get lost, listings that lag, fail or show the dead."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clues.errors import CloudError, NoCapacity, NotFound, OutcomeUnknown, QuotaExceeded, Throttled, Transient
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    Kind,
    LaunchOutcome,
    LaunchRequest,
    Limits,
    Listing,
    Offer,
    Price,
    Quota,
)

STOPPING_TAKES = timedelta(seconds=8)
GONE_SHOWN_FOR = timedelta(seconds=40)

#: What a launch may meet, with its weight while faults are on.
LAUNCHES = {"good": 60, "no-capacity": 6, "quota": 2, "throttled": 2, "transient": 4, "lost-after": 8, "lost-before": 6}
#: What may become of a VM.
FATES = {"good": 70, "never-boots": 8, "wrong-facts": 8, "slow": 8, "vanishes": 8}


@dataclass
class ToyVM:
    """One VM and its secret fate."""

    id: str
    site: str
    request: LaunchRequest
    address: str
    fate: str
    made_at: datetime
    boots_at: datetime
    vanishes_at: datetime | None = None
    stopping_at: datetime | None = None
    gone_at: datetime | None = None
    #: somebody has taken its tags
    untagged: bool = False
    enrolled: bool = False
    registered: bool = False
    slurmd_at: datetime | None = None
    #: a router's tunnel; one that is mute lives on without it
    tunnel_at: datetime | None = None
    mute: bool = False

    @property
    def is_router(self) -> bool:
        return self.request.kind is Kind.ROUTER

    @property
    def alive(self) -> bool:
        return self.stopping_at is None and self.gone_at is None


class ToyCloud:
    """One site: a :class:`clues.ports.Connector`."""

    def __init__(self, name: str, cluster: str, most: int, now: Callable[[], datetime], chance: random.Random) -> None:
        self.name, self.cluster, self.most, self.now, self.chance = name, cluster, most, now, chance
        self.vms: dict[str, ToyVM] = {}
        self.faults = True
        self.listing_fails = False
        self.full = False
        self.asked: list[str] = []  # launch keys, in order
        self.failures = 0
        #: a ledger was lost: of the launches under way then nobody could know
        self.forgotten = False
        self.busy: Callable[[str], str] = lambda vm: ""  # job that runs there; the world tells
        self.broken: list[str] = []
        #: a stranger's VM that shares the account, and bears the tag of another cluster
        self.foreign = Instance(
            id=f"{name}-foreign",
            site=name,
            state=InstanceState.RUNNING,
            cluster="somebody-else",
            launch_key="0b5c4f0e-cpu-1-1",
            node="cpu-1",
        )

    def list_instances(self) -> Listing:
        if self.listing_fails:
            raise Transient(f"{self.name} answers 503")
        now = self.now()
        lag = timedelta(seconds=self.chance.choice([0, 0, 0, 15])) if self.faults else timedelta(0)
        shown = [vm for vm in self.vms.values() if vm.made_at + lag <= now and not vm.untagged]
        shown = [vm for vm in shown if vm.gone_at is None or now - vm.gone_at < GONE_SHOWN_FOR]
        return Listing(self.name, now, (*(self._instance(vm) for vm in shown), self.foreign))

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        return [self._launch(request) for request in requests]

    def terminate(self, instance_id: str) -> None:
        if instance_id == self.foreign.id:
            self.broken.append("a stranger's VM was ended")
        vm = self.vms.get(instance_id)
        if vm is None or not vm.alive:
            return
        if vm.untagged:
            raise NotFound(f"this cluster has no instance {instance_id}")
        if job := self.busy(vm.id):
            self.broken.append(f"VM {vm.id} of {vm.request.node} was ended under job {job}")
        if self.faults and self.chance.random() < 0.1:
            self.failures += 1
            raise Transient("try again")
        vm.stopping_at = self.now()
        if self.faults and self.chance.random() < 0.1:
            raise OutcomeUnknown("no answer")

    def quota(self) -> Quota | None:
        if self.faults and self.chance.random() < 0.2:
            raise Transient(f"{self.name} does not tell its quota now")
        return Quota(Limits(vms=self.most), vms_used=sum(1 for vm in self.vms.values() if vm.gone_at is None))

    def flavors(self) -> list[Flavor]:
        return []

    def prices(self, offers: Sequence[Offer]) -> dict[str, Price]:
        return {offer.key: Price(0.4, "EUR", "the toy's own") for offer in offers}

    def credentials_until(self) -> None:
        return None

    def console(self, instance_id: str) -> str:
        return ""

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        return []

    def step(self) -> None:
        """Let time pass: the stopping end, the doomed vanish."""
        now = self.now()
        for vm in self.vms.values():
            if vm.vanishes_at is not None and now >= vm.vanishes_at and vm.alive:
                vm.gone_at = now - (GONE_SHOWN_FOR if self.chance.random() < 0.5 else timedelta(0))
                self.failures += 1
            elif vm.stopping_at is not None and vm.gone_at is None and now - vm.stopping_at >= STOPPING_TAKES:
                vm.gone_at = now

    def _launch(self, request: LaunchRequest) -> LaunchOutcome:
        key = request.launch_key
        known = next((vm for vm in self.vms.values() if vm.request.launch_key == key), None)
        if known is not None:
            if known.request != request:
                self.broken.append(f"launch key {key} came with other bytes")
            return LaunchOutcome(key, self._instance(known))
        self.asked.append(key)
        what = self._pick(LAUNCHES) if self.faults else "good"
        what = "no-capacity" if self.full else what
        self.failures += what != "good"
        errors: dict[str, CloudError] = {
            "no-capacity": NoCapacity("no room for this flavor"),
            "quota": QuotaExceeded("8 of 8 VMs"),
            "throttled": Throttled("slower", retry_after=timedelta(seconds=20)),
            "transient": Transient("connection refused"),
            "lost-before": OutcomeUnknown("time-out"),
            "lost-after": OutcomeUnknown("time-out"),
        }
        vm = self._make(request) if what in {"good", "lost-after"} else None
        if what in errors:
            return LaunchOutcome(key, error=errors[what])
        assert vm is not None
        return LaunchOutcome(key, self._instance(vm))

    def _make(self, request: LaunchRequest) -> ToyVM:
        now = self.now()
        fate = self._pick(FATES) if self.faults else "good"
        self.failures += fate != "good"
        takes = timedelta(seconds=self.chance.randint(5, 40) + (200 if fate == "slow" else 0))
        name = f"{self.name}-{len(self.vms) + 1}"
        vm = ToyVM(name, self.name, request, request.address, fate, now, now + takes)
        if fate == "vanishes":
            vm.vanishes_at = now + timedelta(seconds=self.chance.randint(1, 300))
        self.vms[vm.id] = vm
        alive = sum(1 for one in self.vms.values() if one.alive)
        if alive > self.most and not self.forgotten:
            self.broken.append(f"{alive} VMs live at {self.name}, its limit is {self.most}")
        return vm

    def _pick(self, weights: dict[str, int]) -> str:
        return self.chance.choices(list(weights), weights=list(weights.values()))[0]

    def _instance(self, vm: ToyVM) -> Instance:
        if vm.gone_at is not None:
            state = InstanceState.GONE
        elif vm.stopping_at is not None:
            state = InstanceState.STOPPING
        else:
            state = InstanceState.RUNNING if self.now() >= vm.boots_at else InstanceState.PENDING
        request = vm.request
        return Instance(
            id=vm.id,
            site=self.name,
            state=state,
            cluster=self.cluster,
            launch_key=request.launch_key,
            node=request.node,
            kind=request.kind.value,
            pool=request.pool,
            generation=request.generation,
            offer=request.offer.key,
            addresses=(vm.address,) if vm.address else (),
            created_at=vm.made_at,
        )
