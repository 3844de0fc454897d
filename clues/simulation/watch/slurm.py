"""What is watched in Slurm, and what every watch needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clues.model import Claim, ClaimState, Settings
from clues.simulation.clouds.cloud import SimCloud
from clues.simulation.clouds.vms import SimVM
from clues.simulation.daemon import SimDaemon
from clues.simulation.overlay import SimOverlay
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import JobState, SimJob, SimNode
from clues.simulation.timeline import Timeline


class Landscape(Protocol):
    """The world, as far as it is watched."""

    time: Timeline
    settings: Settings
    slurm: SimSlurm
    overlay: SimOverlay
    daemon: SimDaemon
    #: the ledger was lost, so that nobody can know of what was under way
    forgotten: bool

    @property
    def clouds(self) -> Mapping[str, SimCloud]: ...

    def blind(self) -> bool: ...


class SlurmWatch:
    """Sees what the daemon has Slurm do. What it finds stands in :attr:`broken`, with the names that it is about."""

    def __init__(self, world: Landscape) -> None:
        self._world = world
        self.broken: list[tuple[str, tuple[str, ...]]] = []
        #: live claims as they are on the disk
        self._committed: dict[str, Claim] = {}
        #: VMs that have not ended
        self._by_id: dict[str, SimVM] = {}

    def tell(self, text: str, *names: str) -> None:
        """Say that something is broken."""
        self.broken.append((text, names))

    def opens(self, nodes: Sequence[SimNode]) -> None:
        """The daemon has Slurm open nodes."""
        opened = {node.name for node in nodes}
        for node in nodes:
            claims = [one for one in self._committed.values() if one.node == node.name]
            if not any(one.state in {ClaimState.READY} for one in claims):
                states = ", ".join(one.state for one in claims) or "none"
                self.tell(f"{node.name} is opened, and its claim is {states}", node.name)
            if node.reason_of_admin:
                self.tell(f"{node.name} is opened over an admin's reason: {node.reason}", node.name)
            vm = self._by_id.get(node.vm)
            if vm is not None and vm.fate == "wrong-facts" and not any(one.adopted for one in claims):
                self.tell(f"{node.name} is opened although its worker is less than was ordered", node.name)
            for claim in claims:
                if claim.state is ClaimState.READY and claim.gang:
                    self._gang_opens(claim, opened)

    def _gang_opens(self, claim: Claim, opened: set[str]) -> None:
        """The nodes of a gang that waits are opened together: else a lesser job takes the first."""
        job = self._world.slurm.active.get(claim.gang)
        if job is None or job.state is not JobState.PENDING or claim.opened_at is not None:
            return
        mates = [
            one
            for one in self._committed.values()
            if one.gang == claim.gang
            and one.offer.site == claim.offer.site
            and one.state in (ClaimState.READY, ClaimState.JOINING)
        ]
        ready = {one.node for one in mates if one.state is ClaimState.READY}
        size = max((one.gang_size for one in mates), default=0)
        if len(ready | opened) < size:
            self.tell(
                f"{claim.node} is opened for gang {claim.gang}: {size - len(ready | opened)} are not ready",
                claim.node,
                f"job {claim.gang}",
            )

    def powers_off(self, node: SimNode, vanished: bool) -> None:
        """The daemon has Slurm set a node down, which ends what runs there."""
        for job in node.jobs.values():
            lives = [vm for name, vm in zip(job.on, job.vms, strict=False) if name == node.name and self._lives(vm)]
            if lives and not node.by_slurm:
                self.tell(
                    f"{node.name} is powered off under job {job.id}, and its VM lives", node.name, f"job {job.id}"
                )

    def _lives(self, vm: str) -> bool:
        known = self._by_id.get(vm)
        return known is not None and known.alive

    def changes_foreign(self, name: str) -> None:
        self.tell(f"{name} is outside the pools, and was to be changed", name)

    def starts(self, job: SimJob) -> None:
        """A job starts."""
        slurm = self._world.slurm
        places = set()
        for name, vm in zip(job.on, job.vms, strict=True):
            node = slurm.nodes[name]
            known = self._by_id.get(vm)
            if known is not None:
                places.add(known.site)
                if known.fate == "wrong-facts" and not node.by_slurm:
                    self.tell(f"job {job.id} starts on {name}, whose worker is less than was ordered", name)
        bound = {next(iter(s)) for name in job.on if len(s := self._sites_of(slurm.nodes[name])) == 1}
        if job.constraint != job.original and len(bound) > 1:
            self.tell(f"gang {job.id} was pinned by {job.constraint} and starts at {sorted(bound)}", f"job {job.id}")

    def _sites_of(self, node: SimNode) -> set[str]:
        return set(self._world.settings.sites) & node.active

    def _pins(self) -> None:
        """A gang whose constraint was changed is written down with the one that its user gave."""
        daemon = self._world.daemon
        if not daemon.up or self._world.forgotten:
            return
        pins = daemon.books.memory.pins
        for job in self._world.slurm.active.values():
            known = pins.get(job.id)
            if job.constraint != job.original and not job.on and (known is None or known.original != job.original):
                self.tell(
                    f"job {job.id} is pinned by {job.constraint}, and nobody knows {job.original!r}", f"job {job.id}"
                )
