"""The port to the simulated Slurm: the same checks before each command as the real adapter makes, and the same steps.

Between two steps of one command the connection may break (:attr:`SimLrms.half_way`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Finding, Reservation, Settings
from clues.ports import Provision
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import JobState, SimNode, SimReservation
from clues.simulation.timeline import Timeline


class Witness(Protocol):
    """Sees what the daemon has Slurm do."""

    def looks(self, what: str) -> None: ...

    def opens(self, nodes: Sequence[SimNode]) -> None: ...

    def powers_off(self, node: SimNode, vanished: bool) -> None: ...

    def changes_foreign(self, name: str) -> None: ...


class SimLrms:
    """A :class:`clues.ports.Lrms`."""

    def __init__(self, slurm: SimSlurm, time: Timeline, witness: Witness) -> None:
        self._slurm, self._time, self._witness = slurm, time, witness
        #: the next command that has two steps breaks between them
        self.half_way = False
        #: tells whether the next call fails all the same
        self.fails: Callable[[], bool] = lambda: False

    def snapshot(self) -> ClusterSnapshot:
        self._witness.looks("Slurm")
        self._answer()
        return self.picture()

    def picture(self) -> ClusterSnapshot:
        """What there is, for others than the daemon."""
        slurm = self._slurm
        jobs = slurm.job_pictures()
        partitions = dict.fromkeys(slurm.partitions, True)
        return ClusterSnapshot(
            taken_at=self._time.shown(self._time.passed),
            nodes=slurm.pictures(),
            jobs=jobs,
            reservations=tuple(
                Reservation(one.name, one.nodes, self._time.shown(one.start), self._time.shown(one.end))
                for one in slurm.reservations
                if one.end > self._time.passed
            ),
            partitions=partitions,
            default_partition=next(iter(partitions), ""),
            default_memory_per_cpu_mib=1,
            version="22.05.8",
        )

    def counters(self) -> Mapping[str, int]:
        self._witness.looks("Slurm's counters")
        self._answer()
        return dict(self._slurm.counts)

    def open(self, nodes: Sequence[str]) -> None:
        present = self._named(nodes)
        refused = []
        for node in present:
            seen = node.picture()
            is_open = not seen.closed and not seen.off
            if not is_open and (not seen.registered or not seen.openable):
                refused.append(node.name)
        if refused:
            raise LrmsError(f"no node was opened: {', '.join(refused)}")
        closed = [node for node in present if node.down or "DRAIN" in node.flags]
        if closed:
            self._witness.opens(closed)
            self._slurm.resume(closed)

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        for node in self._named(nodes):
            self._slurm.drain(node, node.reason if node.reason_of_admin else reason)

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        chosen = []
        for node in self._named(nodes):
            seen = node.picture()
            if not seen.understood or seen.off or seen.turning_off:
                continue
            if not vanished and (seen.busy or not seen.closed or node.jobs):
                continue
            chosen.append(node)
        for node in chosen:
            self._witness.powers_off(node, vanished)
            self._slurm.down(node, node.reason if node.reason_of_admin else reason)
        self._may_break(chosen)
        for node in chosen:
            self._slurm.power_down(node)
        return tuple(sorted(node.name for node in chosen))

    def release(self, nodes: Sequence[str]) -> None:
        off = [node for node in self._named(nodes) if "POWERED_DOWN" in node.flags and not node.reason_of_admin]
        self._slurm.resume(off)

    def power_up(self, nodes: Sequence[str]) -> None:
        for node in self._named(nodes):
            if node.picture().off and not node.picture().closed:
                self._slurm.power_up(node)

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        chosen = [node for node in self._named(nodes) if "POWERING_UP" in node.flags]
        for node in chosen:
            self._slurm.down(node, node.reason if node.reason_of_admin else reason)
        self._may_break(chosen)
        for node in chosen:
            self._slurm.power_down(node)
        return tuple(sorted(node.name for node in chosen))

    def annotate(self, job: str, text: str) -> None:
        self._answer()

    def forget(self, requests: Sequence[str]) -> None:
        self._answer()

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        (one,) = self._named([node])
        wanted = frozenset(features)
        if not wanted <= one.features:
            raise LrmsError(f"{node} has no such feature: {', '.join(sorted(wanted - one.features))}")
        self._slurm.bind(one, address, wanted)

    def pin(self, job: str, site: str, original: str) -> None:
        self._answer()
        one = self._slurm.active.get(job)
        wanted = "&".join(filter(None, (original, site)))
        if one is None or one.state is not JobState.PENDING or one.constraint == wanted:
            return
        if one.constraint != original and (site or not one.constraint.startswith(original)):
            raise LrmsError(f"job {job} was not pinned: its constraint is {one.constraint}")
        one.constraint = wanted
        self._slurm.change(one)

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        self._named(nodes)
        kept = [one for one in self._slurm.reservations if one.name != name]
        if nodes:
            now = self._time.shown(self._time.passed)
            start, ends = (self._time.passed + (at - now).total_seconds() for at in (begin, end))
            kept.append(SimReservation(name, frozenset(nodes), start, ends))
        self._slurm.reserve(kept)

    def bootstrap(self, node: str) -> Provision:
        return Provision()

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def check_config(self, settings: Settings) -> list[str]:
        return []

    def examine(self, uid: int) -> list[Finding]:
        return []

    def _may_break(self, chosen: Sequence[SimNode]) -> None:
        if self.half_way and chosen:
            self.half_way = False
            raise LrmsError("the connection was lost between two commands")

    def _answer(self) -> None:
        if self._slurm.out or self.fails():
            raise LrmsError("slurmctld does not answer")

    def _named(self, names: Sequence[str]) -> list[SimNode]:
        self._answer()
        found = []
        for name in names:
            node = self._slurm.nodes.get(name)
            if node is None or not node.cloud:
                self._witness.changes_foreign(name)
                raise LrmsError(f"{name} is no node of a pool")
            found.append(node)
        return found
