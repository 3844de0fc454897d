"""The simulated world put together: one timeline, one seeded generator, and the daemon's own parts in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from clues.clock import SteadyClock
from clues.ledger import Commit
from clues.model import (
    Action,
    Bind,
    Claim,
    ClaimState,
    InstanceState,
    LaunchRequest,
    Limits,
    Offer,
    Resources,
    Settings,
)
from clues.ports import Clock
from clues.simulation.clouds.cloud import SimCloud, Watcher
from clues.simulation.clouds.machines import Machines
from clues.simulation.clouds.vms import SimVM
from clues.simulation.crash import Crash
from clues.simulation.daemon import CLUSTER, Killed, SimDaemon, Surroundings
from clues.simulation.ledger import make_ledger
from clues.simulation.naps.naps import Naps
from clues.simulation.overlay import SimOverlay
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import SimJob, SimNode
from clues.simulation.slurm.port import SimLrms
from clues.simulation.story import InvariantBroken, Story
from clues.simulation.timeline import EPOCH, PlainClock, Timeline
from clues.simulation.watch.invariants import Watch
from clues.simulation.worlds.profiles import CloudProfile, SlurmProfile

#: After every so many events everything is gone through, in small worlds.
WHOLE = 40


@dataclass(frozen=True)
class Design:
    """How a world is made."""

    settings: Settings
    clouds: Mapping[str, CloudProfile] = field(default_factory=dict)
    slurm: SlurmProfile = field(default_factory=SlurmProfile)
    #: what each provider allows, where it is less than the configuration's limits
    quotas: Mapping[str, Limits] = field(default_factory=dict)
    #: nodes on premises: name and partition
    static: tuple[tuple[str, str, Resources], ...] = ()
    epoch: datetime = EPOCH
    #: for replays of traces: nothing is told, nobody sets the clock, nothing goes wrong
    brief: bool = False
    #: the daemon naps while nothing can happen; for brief worlds only
    naps: bool = False
    #: look at the invariants
    watched: bool = True


class World(Watcher):
    """One world. ``run_until`` lets it live; what is broken is raised."""

    def __init__(self, seed: int, design: Design, *, replay: str = "", crash: Crash | None = None) -> None:
        """:param replay: the command that plays this world again."""
        self.seed, self.design, self.replay = seed, design, replay
        self.chance = Random(seed)
        self.time = Timeline(design.epoch)
        self.settings = design.settings
        self.story = Story(self.time, silent=design.brief)
        self.crash = crash or Crash()
        self.forgotten = False
        #: by how much the daemon's death lasts, in seconds
        self.dead_for = 5.0
        self.slurm = SimSlurm(self.settings.pools.values(), self.time, self.chance, design.slurm)
        for name, partition, capacity in design.static:
            node = SimNode(name, capacity, frozenset({partition}), frozenset(), cloud=False, flags=set())
            node.vm = f"static-{name}"
            self.slurm.add(node)
        self.clouds = {name: self._cloud(name) for name in self.settings.sites}
        chosen = [name for name, cloud in self.clouds.items() if cloud.batch > 1]
        self.overlay = SimOverlay(self.settings, self.time, lambda site: self.clouds[site].vms.values(), chosen)
        self.slurm.answers = self._answers
        self.slurm.on_start, self.slurm.on_end = self._job_starts, self._job_ends
        self.lrms = SimLrms(self.slurm, self.time, self)
        self.jobs: dict[str, SimJob] = {}
        #: what is told when a job has ended, and when a VM has
        self.job_ended: Callable[[SimJob], None] = _nothing
        self.vm_ended: Callable[[SimVM], None] = _nothing
        self.vm_made: Callable[[SimVM], None] = _nothing
        self.watch = Watch(self)
        self.launches = 0
        self.ledger = make_ledger(self)
        self._around = Surroundings(
            self.time,
            self.chance,
            self.settings,
            self.lrms,
            self.clouds,
            self.overlay,
            self._clock,
            self._request,
            self._latency,
            self,
            brief=design.brief,
        )
        self.daemon = SimDaemon(self._around, self.ledger)
        if design.naps:
            self.ledger.lazy = True
            self.daemon.nap(Naps(self.time, self.slurm, self.daemon))
        self.machines = Machines(
            self.time, self.chance, self.slurm, self.clouds, self.overlay, lambda: self.daemon, self.story.tell
        )
        self.machines.tunnel_is_up = self.look_after_site

    # --- living ---

    def step(self) -> bool:
        """Let the next event happen, and look at what must not be broken; return False when nothing is left."""
        try:
            alive = self.time.step()
        except Killed:
            self.story.tell("the daemon is killed")
            self.daemon.kill(self.dead_for)
            alive = True
        if self.design.watched:
            self.watch.look()
            if not self.design.brief and self.time.count % WHOLE == 0:
                self.watch.whole()
            if self.watch.broken:
                self._raise()
        return alive

    def run_until(self, seconds: float, *, done: Callable[[], bool] = lambda: False) -> None:
        """Let the world live until a moment of its time, or until *done*.

        :raises InvariantBroken: with the story and the command that replays it.
        """
        while not done():
            due = self.time.next_at()
            if due is None or due > seconds:
                self.time.passed = max(self.time.passed, seconds)
                return
            self.step()

    def say_broken(self, text: str, *names: str) -> None:
        """Something is broken that only the whole of a scenario shows."""
        self.watch.tell(text, *names)
        self._raise()

    def _raise(self) -> None:
        text, names = self.watch.broken[0]
        about = {*names}
        for claim in self.daemon.books.claims.values():
            if claim.key in names or claim.node in names:
                about |= {claim.key, claim.node, claim.instance_id}
        raise InvariantBroken(
            text,
            seed=self.seed,
            at=f"{self.time.passed:.3f} s, event {self.time.count}",
            story=self.story.about(about),
            replay=self.replay or "none: this world was made by hand",
        )

    # --- what people and fate do ---

    def submit(self, job: SimJob) -> None:
        """``sbatch``."""
        self.jobs[job.id] = job
        many = f" x{len(job.tasks)}" if job.tasks else ""
        self.story.tell(f"job {job.id}{many}: {job.nodes} x ({job.need}) {job.constraint} for {job.runs:.0f} s")
        self.slurm.submit(job)

    def kill(self, back_after: float = 5.0) -> None:
        """Kill the daemon at leisure."""
        if self.daemon.up:
            self.story.tell("the daemon is killed at leisure")
            self.daemon.kill(back_after)

    def lose_ledger(self) -> None:
        """The daemon dies, and its disk with it."""
        self.story.tell("the ledger is lost")
        self.forgotten = True
        self.ledger = make_ledger(self)
        self.daemon.ledger = self.ledger
        self.watch.forget()
        for job in self.slurm.active.values():
            job.original = job.constraint  # that it is pinned is lost, too
        self.daemon.kill(5.0)
        self.watch.lost_claims()

    def look_after_site(self, site: str) -> None:
        """The way to a site has changed: the slurmds behind it are heard again, or not any more."""
        for vm in self.clouds[site].living():
            if not vm.is_router:
                self.slurm.look_after(vm.node)
        if self.daemon.naps is not None:
            self.daemon.naps.tunnels_changed()

    def blind(self) -> bool:
        """Whether the daemon cannot see or act now."""
        hindered = self.slurm.out or self.ledger.full or not self.daemon.up or self.daemon.books.operator.paused
        return hindered or any(cloud.lost or cloud.unlisted for cloud in self.clouds.values())

    def cost(self) -> float:
        """What the VMs that are still listed have cost."""
        return sum(vm.cost(self.time.passed) for cloud in self.clouds.values() for vm in cloud.vms.values())

    # --- the daemon's hooks ---

    def before_commit(self, change: Commit, states: Mapping[str, ClaimState]) -> None:
        if self.design.watched:
            self.watch.commits(change, states)
        self.crash.before_commit(change, states)

    def after_commit(self, change: Commit) -> None:
        if self.design.watched:
            self.watch.committed(change)
        for note in change.notes:
            self.story.tell(f"{note.subject}: {note.text} {' '.join(note.about[:1])}")
        self.crash.after_commit()

    def before_acts(self, actions: Sequence[Action]) -> None:
        if self.design.watched and not self.design.brief:
            self.watch.habits.acts(actions, self.daemon.executor.in_flight)
        for action in actions:
            self.story.tell(f"  {_show(action)}")
        self.crash.before_acts()

    def after_acts(self, actions: Sequence[Action]) -> None:
        self.crash.after_acts(len(actions))

    def after_effect(self) -> None:
        self.crash.after_effect()

    def ticked(self) -> None:
        published = self.daemon.reconciler.published
        if self.design.watched and not self.design.brief and published is not None:
            self.watch.habits.published(published, self.daemon.books.claims)

    def failed(self, error: Exception) -> None:
        if isinstance(error, InvariantBroken):
            raise error
        self.watch.tell(f"a step of the daemon failed: {type(error).__name__}: {error}")

    # --- the witness of commands to Slurm ---

    def looks(self, what: str) -> None:
        if self.design.watched and not self.design.brief:
            self.watch.habits.looks(what, self.settings.pace, self.time.passed)

    def opens(self, nodes: Sequence[SimNode]) -> None:
        if self.design.watched:
            self.watch.opens(nodes)

    def powers_off(self, node: SimNode, vanished: bool) -> None:
        if self.design.watched:
            self.watch.powers_off(node, vanished)

    def changes_foreign(self, name: str) -> None:
        self.watch.changes_foreign(name)

    # --- the watcher of clouds ---

    def listing(self, cloud: SimCloud) -> None:
        if self.design.watched and not self.design.brief:
            self.watch.habits.looks(cloud.name, self.settings.pace, self.time.passed)

    def launching(self, cloud: SimCloud, request: LaunchRequest) -> None:
        self.launches += 1
        if self.design.watched:
            self.watch.launching(cloud, request)

    def refused(self, offer: str) -> None:
        """A provider had no room."""
        if self.design.watched:
            self.watch.refused(offer)

    def made(self, vm: SimVM) -> None:
        self.story.tell(f"{vm.id} is made for {vm.node} ({vm.key}), fate {vm.fate}")
        if self.design.watched:
            self.watch.made(vm)
        self.vm_made(vm)
        self.machines.boot(vm)

    def terminating(self, vm: SimVM) -> None:
        self.story.tell(f"{vm.id} of {vm.node} is ended by us")
        if self.design.watched:
            self.watch.terminating(vm)

    def ended(self, vm: SimVM) -> None:
        self.story.tell(f"{vm.id} of {vm.node} runs no more ({vm.state})")
        if self.design.watched:
            self.watch.ended(vm)
        if vm.is_router:
            self.look_after_site(vm.site)
        else:
            self.slurm.look_after(vm.node)
        self.vm_ended(vm)
        if vm.state is not InstanceState.STOPPING:  # which we asked for: nothing follows before it is gone
            self._cloud_changed(vm.site)

    def moved(self, vm: SimVM) -> None:
        if vm.state is not InstanceState.RUNNING:  # of that alone nothing follows: it has to enrol first
            self._cloud_changed(vm.site)

    def broken(self, text: str) -> None:
        self.watch.tell(text)

    # --- inside ---

    def _cloud(self, name: str) -> SimCloud:
        settings = self.settings
        offers: list[Offer] = [one for pool in settings.pools.values() for one in pool.offers if one.site == name]
        router = settings.sites[name].router
        offers += [router.offer] if router is not None else []
        prices = {one.key: one.price_per_hour or 0.0 for one in offers}
        profile = self.design.clouds.get(name, CloudProfile())
        cloud = SimCloud(name, CLUSTER, profile, self.time, self.chance, self, prices)
        cloud.faults = not self.design.brief or bool(profile.interruptions_per_hour)
        cloud.quota_limits = self.design.quotas.get(name, Limits())
        return cloud

    def _clock(self) -> Clock:
        return PlainClock(self.time) if self.design.brief else SteadyClock(self.time.wall, self.time.monotonic)

    def _latency(self, lane: str) -> float:
        if lane == "lrms":
            return self.slurm.profile.latency.draw(self.chance)
        site = lane.partition("/")[0]
        if site in self.clouds:
            return self.clouds[site].profile.latency.draw(self.chance)
        return 0.02

    def _request(self, claim: Claim) -> LaunchRequest:
        return claim.launch_request(CLUSTER, f"tickets of {' '.join(claim.batch or (claim.key,))}")

    def _vm(self, name: str) -> SimVM | None:
        cloud = self.clouds.get(name.rpartition("-")[0])
        return None if cloud is None else cloud.vms.get(name)

    def _answers(self, name: str) -> bool:
        vm = self._vm(name)
        if vm is None:
            return name.startswith("static")
        return vm.alive and self.overlay.leads_to(vm.site)

    def _job_starts(self, job: SimJob) -> None:
        self.story.tell(f"job {job.id} starts on {','.join(job.on)}")
        if job.array is not None:
            self.jobs.setdefault(job.id, job)
        if self.design.watched:
            self.watch.starts(job)

    def _job_ends(self, job: SimJob) -> None:
        self.story.tell(f"job {job.id} is {job.state}")
        self.job_ended(job)

    def _cloud_changed(self, site: str) -> None:
        if self.daemon.naps is not None:
            self.daemon.naps.cloud_changed(site)


def _nothing(_: object) -> None:
    """Nobody is to be told."""


def _show(action: Action) -> str:
    """Return an action in words that are the same in every process: sets have no order of their own."""
    if isinstance(action, Bind):
        return f"Bind({action.node}, {action.address}, {'+'.join(sorted(action.features))})"
    return str(action)


__all__ = ["Design", "World"]
