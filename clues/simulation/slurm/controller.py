"""slurmctld in memory: CLOUD nodes as Slurm 22.05.8 has them, jobs, and what happens between the two.

Measured, and kept to here: ``power_down`` wipes DRAIN, and the node is POWERING_DOWN until SuspendTimeout has passed
and hears no slurmd meanwhile; a registering slurmd wakes a powered-down node whatever its flags, and erases the reason
of a drained one; an open node that is off is powered up for a job, and is ``down~`` if nothing registers in time; a
node that was undrained does not respond for a moment, for many seconds while another one is silent; a requeued job
waits; a reconfigure gives all nodes all their features back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random

from clues.model import Mode, Node, Pool
from clues.simulation.slurm.parts import JobState, SimNode
from clues.simulation.slurm.queue import AGAIN, SimQueue
from clues.simulation.timeline import Timeline
from clues.simulation.worlds.profiles import SlurmProfile

#: How long a silent node slows every undraining, at most, in seconds.
SLOW_ROUND = 13.0


class SimSlurm(SimQueue):
    """The machine; :mod:`clues.simulation.slurm.port` is the port to it."""

    def __init__(self, pools: Iterable[Pool], time: Timeline, chance: Random, profile: SlurmProfile) -> None:
        super().__init__(time, chance, profile)
        pools = tuple(pools)
        for pool in pools:
            features = frozenset(pool.declared_features)
            for name in pool.nodes:
                partitions = frozenset(pool.partitions or (pool.name,))
                self.add(SimNode(name, pool.shape, partitions, features, active=features))
        #: SuspendTime of the nodes of eager pools; the others are never suspended
        self._suspend_time = {
            name: pool.idle.total_seconds() for pool in pools if pool.mode is Mode.EAGER for name in pool.nodes
        }
        self._pictures: dict[str, Node] = {}

    def add(self, node: SimNode) -> None:
        """Declare one more node."""
        self.nodes[node.name] = node
        for partition in sorted(node.partitions):
            self._by_partition.setdefault(partition, []).append(node)
        self.touched.add(node.name)

    # --- reading ---

    @property
    def partitions(self) -> Iterable[str]:
        """All partitions, in the order of slurm.conf."""
        return self._by_partition

    def pictures(self) -> dict[str, Node]:
        """Return all nodes as they are now; the same object while none of them has changed."""
        if len(self._pictures) != len(self.nodes):  # never by chance: the order is that of slurm.conf
            self._pictures = {name: self.nodes[name].picture() for name in self.nodes}
        elif self.touched:
            self._pictures = self._pictures | {name: self.nodes[name].picture() for name in self.touched}
        self.touched.clear()
        return self._pictures

    # --- nodes: what commands do ---

    def drain(self, node: SimNode, reason: str) -> None:
        """``state=drain``."""
        node.flags.add("DRAIN")
        node.reason = reason
        self.touched.add(node.name)  # who ordered it looks again anyway

    def down(self, node: SimNode, reason: str) -> None:
        """``state=down``: its jobs are requeued."""
        node.down, node.reason = True, reason
        for job in list(node.jobs.values()):
            self._requeue(job)
        self.touched.add(node.name)  # who ordered it looks again anyway

    def power_down(self, node: SimNode) -> None:
        """``state=power_down``: wipes DRAIN, hears no slurmd until SuspendTimeout."""
        self._set_timer(node, self.profile.power_down, lambda: self._is_off(node))
        node.flags = {"POWERING_DOWN"}
        node.vm, node.silent_since, node.by_slurm = "", None, False
        self.touched.add(node.name)  # who ordered it looks again anyway

    def power_up(self, node: SimNode) -> None:
        """``state=power_up``: waits for a slurmd until ResumeTimeout."""
        self._power_up(node)
        self.touched.add(node.name)  # who ordered it looks again anyway

    def resume(self, nodes: Sequence[SimNode]) -> None:
        """``state=resume``: open, but silent until the next round of registrations."""
        blocked = any(node.silent_since is not None and node.vm for node in self.nodes.values() if not node.down)
        for node in nodes:
            node.down, node.reason = False, ""
            node.flags.discard("DRAIN")
            silence = self.profile.undrain.draw(self._chance) + (SLOW_ROUND * self._chance.random() if blocked else 0)
            if silence > 0:
                node.flags.add("NOT_RESPONDING")
                self._set_timer(node, silence, partial(self._responds, node))
            self.touched.add(node.name)  # who ordered it looks again anyway
        self.wake()

    def bind(self, node: SimNode, address: str, features: frozenset[str]) -> None:
        """``nodeaddr=`` and ``activefeatures=``."""
        node.address, node.active = address or node.address, features
        self.touched.add(node.name)  # who ordered it looks again anyway
        self.wake()

    def reconfigure(self) -> None:
        """``scontrol reconfigure``: which site a node is bound to is lost, and an absent node's address."""
        for node in self.nodes.values():
            if node.cloud:
                node.active = node.features
                node.address = "" if "POWERED_DOWN" in node.flags else node.address
                self._node_changed(node)

    def forget(self) -> None:
        """slurmctld starts with an empty state: jobs are submitted again, every cloud node is off and open."""
        for job in list(self.active.values()):
            if job.on:
                self._requeue(job)
        for node in self.nodes.values():
            if node.cloud:
                if node.timer is not None:
                    node.timer.cancel()
                node.down, node.flags, node.reason, node.vm = False, {"POWERED_DOWN"}, "", ""
                node.active, node.timer, node.silent_since = node.features, None, None
                self._node_changed(node)
        self.wake()

    def come_back(self) -> None:
        """The end of an outage."""
        self.out = False
        self.wake()
        self.on_change()

    # --- nodes: what VMs do ---

    def register(self, name: str, vm: str) -> bool:
        """A slurmd says hello; return False when nobody listens to it now."""
        node = self.nodes.get(name)
        if node is None or self.out or "POWERING_DOWN" in node.flags or not self.answers(vm):
            return False
        was_off = "POWERED_DOWN" in node.flags
        node.vm, node.silent_since, node.slurmd_started = vm, None, self._time.shown(self._time.passed)
        node.flags -= {"POWERED_DOWN", "POWERING_UP", "NOT_RESPONDING"}
        if node.timer is not None:
            node.timer.cancel()
            node.timer = None
        if was_off and "DRAIN" in node.flags:
            node.reason = ""  # 22.05 erases it, whoever wrote it
        if node.down and node.reason.startswith("Not responding"):
            node.down, node.reason = False, ""  # ReturnToService=1
        for job in list(node.jobs.values()):
            job.vms = tuple(vm if one == name else old for one, old in zip(job.on, job.vms, strict=True))
            if job.state is JobState.CONFIGURING:
                self._runs_if_whole(job)
                self._changed(job)
        self._node_changed(node)
        self._may_be_idle(node)
        self.wake()
        return True

    def look_after(self, name: str) -> None:
        """The VM behind a node has died, or come in or out of reach."""
        node = self.nodes.get(name)
        if node is None or not node.vm or node.flags & {"POWERED_DOWN", "POWERING_DOWN", "POWERING_UP"}:
            return
        if self.answers(node.vm):
            if node.silent_since is not None:
                node.silent_since = None
                node.flags.discard("NOT_RESPONDING")
                if node.down and node.reason.startswith("Not responding"):
                    node.down, node.reason = False, ""
                self._node_changed(node)
                self.wake()
            return
        if node.silent_since is None:
            since = node.silent_since = self._time.passed
            self._time.after(self.profile.slurmd_timeout / 3, lambda: self._is_silent(node, since))
            self._time.after(self.profile.slurmd_timeout, lambda: self._is_dead(node, since))

    def _is_silent(self, node: SimNode, since: float) -> None:
        if node.silent_since == since and not node.flags & {"POWERED_DOWN", "POWERING_DOWN"}:
            node.flags.add("NOT_RESPONDING")
            self._node_changed(node)

    def _is_dead(self, node: SimNode, since: float) -> None:
        if node.silent_since != since or node.down or node.flags & {"POWERED_DOWN", "POWERING_DOWN"}:
            return
        if self.out:
            self._time.after(AGAIN, lambda: self._is_dead(node, since))
            return
        node.down, node.reason = True, node.reason or "Not responding"
        node.flags.add("NOT_RESPONDING")
        for job in list(node.jobs.values()):
            self._requeue(job)
        self._node_changed(node)

    def _responds(self, node: SimNode) -> None:
        node.timer = None
        if "NOT_RESPONDING" in node.flags and node.silent_since is None:
            node.flags.discard("NOT_RESPONDING")
            self._node_changed(node)
            self.wake()

    def _may_be_idle(self, node: SimNode) -> None:
        """From now on its SuspendTime runs, unless a job holds it."""
        wait = self._suspend_time.get(node.name)
        if wait is None or node.jobs:
            return
        since = node.idle_from = self._time.passed
        self._time.after(wait, lambda: self._suspend(node, since))

    def _suspend(self, node: SimNode, since: float) -> None:
        off = {"POWERED_DOWN", "POWERING_DOWN", "POWERING_UP"}
        if node.idle_from != since or node.jobs or node.down or node.flags & off:
            return
        if self.out:
            self._time.after(AGAIN, lambda: self._suspend(node, since))
            return
        self.power_down(node)
        self._node_changed(node)

    def _power_up(self, node: SimNode) -> None:
        node.flags, node.by_slurm = {"POWERING_UP"}, True
        self._set_timer(node, self.profile.resume_timeout, lambda: self._did_not_come(node))

    def _did_not_come(self, node: SimNode) -> None:
        node.timer = None
        if "POWERING_UP" not in node.flags:
            return
        node.down, node.reason, node.flags = True, "ResumeTimeout reached", {"POWERED_DOWN"}
        node.by_slurm = False
        for job in list(node.jobs.values()):
            self._requeue(job)
        self._node_changed(node)

    def _is_off(self, node: SimNode) -> None:
        node.timer = None
        node.flags = {"POWERED_DOWN"} | (node.flags & {"DRAIN"})
        self._node_changed(node)
        self.wake()

    def _set_timer(self, node: SimNode, seconds: float, then: Callable[[], None]) -> None:
        if node.timer is not None:
            node.timer.cancel()
        node.timer = self._time.after(seconds, then)

    def _node_changed(self, node: SimNode) -> None:
        self.touched.add(node.name)
        self.on_change()
