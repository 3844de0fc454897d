"""Peers' policies, re-implemented from their published rules: none of this is their code, and none has their faults.

Each drives the same simulated Slurm with the same boot times.  What differs is when nodes are started and stopped.  A
peer binds a node to the cheapest offer with room under its site's ``vms`` limit; nothing ever fails for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from random import Random

from clues.model import Offer, Pool, Resources, Settings
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import SimJob, SimNode
from clues.simulation.timeline import Timeline
from clues.simulation.trials.fitting import Fitted
from clues.simulation.trials.meter import Meter
from clues.simulation.trials.outcome import Outcome, Share
from clues.simulation.trials.trial import PATIENCE, POINTS, Conditions, Progress
from clues.simulation.worlds.profiles import CALM_SLURM

#: From the decision to the call, and from the VM's being up to the node's being idle, in seconds, for everybody.
OVERHEAD = 16.0


@dataclass(frozen=True)
class Rules:
    """One peer: what it looks at, how often, and when it lets a node go. Times in seconds."""

    name: str
    source: str
    period: float
    #: an idle node is stopped after so long; None: never
    idle: float | None
    #: how many nodes of a pool should be up or coming
    wanted: Callable[[Peer, Pool], int]
    #: nodes that a job was started on serve no other
    one_job_each: bool = False
    #: it has nodes although no job is left: the trial ends with the last job
    stays: bool = False


class Peer:
    """One trial of one peer."""

    def __init__(self, rules: Rules, settings: Settings, conditions: Conditions, outcome: Outcome) -> None:
        self.rules, self.settings, self._boot = rules, settings, conditions.boot
        self.time, self._chance = Timeline(), Random(conditions.seed)
        self.slurm = SimSlurm(settings.pools.values(), self.time, self._chance, CALM_SLURM)
        self.meter = Meter(self.time, self.slurm, settings.pools, outcome)
        self.slurm.on_start, self.slurm.on_end = self.meter.job_starts, self._ended
        self.coming: dict[str, str] = {}
        self.up: dict[str, str] = {}
        self._site_of: dict[str, str] = {}
        self.idle_since: dict[str, float] = {}
        #: what a controller remembers from one look to the next
        self.demand: dict[str, float] = {}
        self._serial = 0
        self.left = 0
        for node in self.slurm.nodes.values():
            node.flags = {"DRAIN", "POWERED_DOWN"}

    # --- what policies look at ---

    def pending(self, pool: Pool) -> list[SimJob]:
        """Jobs of this pool that wait, in order."""
        return [job for job in self.slurm.queue if job.partition in (pool.partitions or (pool.name,))]

    def serving(self, pool: Pool) -> list[SimNode]:
        """Its nodes that are up."""
        return [self.slurm.nodes[name] for name in pool.nodes if name in self.up]

    def count(self, pool: Pool) -> int:
        """Its nodes that are up or coming."""
        return sum(1 for name in pool.nodes if name in self.up or name in self.coming)

    # --- running ---

    def run(self, fitted: Fitted, progress: Progress) -> None:
        """Play the jobs."""
        self.left = len(fitted.jobs)
        last = fitted.jobs[-1][0] if fitted.jobs else 0.0
        for at, job in fitted.jobs:
            self.time.at(at + 60.0, lambda job=job: self._submit(job))  # type: ignore[misc]
        step = max(60.0, last / POINTS)

        def sample() -> None:
            self.meter.sample()
            progress(min(1.0, self.time.passed / (last + 60.0)))
            if self.left or self.slurm.active:
                self.time.after(step, sample)

        sample()
        self._look()
        while (self.left or self.slurm.active or self.up or self.coming) and self.time.step():
            if self.time.passed > last + PATIENCE or (self.rules.stays and not self.left + len(self.slurm.active)):
                break

    def _submit(self, job: SimJob) -> None:
        self.left -= 1
        self.slurm.submit(job)

    def _look(self) -> None:
        for pool in self.settings.pools.values():
            lacking = min(self.rules.wanted(self, pool), len(pool.nodes)) - self.count(pool)
            closed = (name for name in pool.nodes if name not in self.up and name not in self.coming)
            for name in [name for _, name in zip(range(lacking), closed, strict=False)]:
                if not self._start(pool, name):
                    break
            self._let_go(pool)
        if self.left or self.slurm.active or self.up or self.coming:
            self.time.after(self._looks_to_come() * self.rules.period, self._look)

    def _looks_to_come(self) -> int:
        """After how many periods there may be something to do: where nothing waits, comes or is idle, not before the
        next thing happens."""
        idle = any(not self.slurm.nodes[name].jobs for name in self.up)
        happens = self.time.next_at()
        if self.rules.stays or self.slurm.queue or self.coming or idle or happens is None:
            return 1
        return max(1, ceil((happens - self.time.passed) / self.rules.period))

    def _start(self, pool: Pool, name: str) -> bool:
        offer = self._offer(pool)
        if offer is None:
            return False
        self._serial += 1
        vm = f"{offer.site}-{self._serial}"
        self.coming[name], self._site_of[name] = vm, offer.site
        self.meter.vm_made(vm, name, offer.site, offer.price_per_hour or 0.0, pool.shape, offer.billing)
        self.time.after(self._boot.draw(self._chance) + OVERHEAD, lambda: self._is_up(name, vm))
        return True

    def _offer(self, pool: Pool) -> Offer | None:
        for offer in sorted(pool.offers, key=lambda one: one.price_per_hour or 0.0):
            most = self.settings.sites[offer.site].limits.vms
            if most is None or sum(1 for site in self._site_of.values() if site == offer.site) < most:
                return offer
        return None

    def _is_up(self, name: str, vm: str) -> None:
        if self.coming.pop(name, None) is None:
            return
        self.up[name], self.idle_since[name] = vm, self.time.passed
        self.slurm.register(name, vm)
        self.slurm.resume([self.slurm.nodes[name]])

    def _ended(self, job: SimJob) -> None:
        self.meter.job_ended(job)
        for name in job.on:
            if not self.slurm.nodes[name].jobs:
                self.idle_since[name] = self.time.passed
                if self.rules.one_job_each:
                    self._stop(name)

    def _let_go(self, pool: Pool) -> None:
        if self.rules.idle is None:
            return
        surplus = self.count(pool) - self.rules.wanted(self, pool)
        for node in self.serving(pool):
            idle = not node.jobs and self.time.passed - self.idle_since[node.name] >= self.rules.idle
            if idle and surplus > 0:
                self._stop(node.name)
                surplus -= 1

    def _stop(self, name: str) -> None:
        node = self.slurm.nodes[name]
        node.flags, node.vm = {"DRAIN", "POWERED_DOWN"}, ""
        self.slurm.touched.add(name)
        self.meter.vm_ended(self.up.pop(name))
        self.idle_since.pop(name, None)
        self._site_of.pop(name, None)


# --- rules ---


def _all(_: Peer, pool: Pool) -> int:
    return len(pool.nodes)


def _each_job(peer: Peer, pool: Pool) -> int:
    """So many nodes for each job that waits, whatever else is there; busy ones besides."""
    busy = sum(1 for node in peer.serving(pool) if node.jobs)
    return busy + sum(job.nodes for job in peer.pending(pool))


def _first_fit(peer: Peer, pool: Pool) -> int:
    """Nodes for the queue in its order, a share of a node for a share, beside what is free on those that are up."""
    return _packed(peer, pool, peer.pending(pool))


def _first_fit_decreasing(peer: Peer, pool: Pool) -> int:
    """The same, the largest first."""
    return _packed(
        peer, pool, sorted(peer.pending(pool), key=lambda job: (-job.need.gpu_count, -job.need.cpus, job.id))
    )


def _packed(peer: Peer, pool: Pool, jobs: list[SimJob]) -> int:
    """Return how many nodes are busy or will be once the queue has been laid over them, new ones included."""
    serving = peer.serving(pool)
    room = [node.capacity.minus(node.used) for node in serving]
    used = [bool(node.jobs) for node in serving]
    coming = peer.count(pool) - len(serving)
    room += [pool.shape] * coming
    used += [False] * coming
    full: set[Resources] = set()
    for job in jobs:
        if job.need in full and len(room) >= len(pool.nodes):
            continue
        places = [] if job.need in full else [i for i, one in enumerate(room) if job.need.fits_in(one)][: job.nodes]
        if len(places) < job.nodes:
            full.add(job.need)
            new = min(job.nodes - len(places), len(pool.nodes) - len(room))
            places += range(len(room), len(room) + new)
            room += [pool.shape] * new
            used += [False] * new
            if new:
                full.clear()  # what is left of the new nodes may hold others
        for place in places:
            room[place], used[place] = room[place].minus(job.need), True
    return sum(used)


def linear_step(demand: float, utilisation: float, allocation: float, seconds: float = 1.0) -> float:
    """COBalD's LinearController at its defaults: the demand falls by one a second while utilisation is below 0.5, and
    else rises by one a second while allocation is above 0.5."""
    if utilisation < 0.5:
        return demand - seconds
    return demand + seconds if allocation > 0.5 else demand


def _linear(peer: Peer, pool: Pool) -> int:
    """TARDIS: a drone's utilisation is the least, its allocation the largest share of its resources in use; those of
    all drones are averaged, and both are 1 while there is none. So it never stays at zero: it tries."""
    shares = [_shares_in_use(node) for node in peer.serving(pool)]
    utilisation = sum(map(min, shares)) / len(shares) if shares else 1.0
    allocation = sum(map(max, shares)) / len(shares) if shares else 1.0
    demand = linear_step(peer.demand.get(pool.name, 0.0), utilisation, allocation, peer.rules.period)
    demand = peer.demand[pool.name] = min(float(len(pool.nodes)), max(0.0, demand))
    return round(demand)


def _shares_in_use(node: SimNode) -> list[float]:
    used, whole = node.used, node.capacity
    pairs = ((used.cpus, whole.cpus), (used.memory_mib, whole.memory_mib), (used.gpu_count, whole.gpu_count))
    return [part / most for part, most in pairs if most]


PEERS: Mapping[str, Rules] = {
    "static": Rules("static cluster", "all nodes of all pools, all the time", 3600.0, None, _all, stays=True),
    "one-vm-per-job": Rules("one VM per job", "fresh nodes for each job, ended with it", 10.0, 0.0, _each_job, True),
    "clues": Rules("CLUES 2.3 defaults", "queued job to power-on 66 s, IDLE_TIME=600", 66.0, 600.0, _first_fit),
    "parallelcluster": Rules(
        "ParallelCluster 3 defaults",
        "Slurm's power saving every 10 s, idle time 10 min",
        10.0,
        600.0,
        _first_fit,
    ),
    "ffd": Rules("first-fit-decreasing", "every 10 s; idle nodes end after 5 min", 10.0, 300.0, _first_fit_decreasing),
    "tardis": Rules("TARDIS linear controller", "rate 1/s, thresholds 0.5, every 30 s", 30.0, 0.0, _linear, stays=True),
}


def run_peer(
    name: str, settings: Settings, fitted: Fitted, conditions: Conditions, progress: Progress = lambda _: None
) -> Outcome:
    """Play the jobs under a peer's rules."""
    began = time.monotonic()
    rules = PEERS[name]
    outcome = Outcome(rules.name, settings.currency, misfits=sum(fitted.misfits.values()))
    outcome.remark = f"re-implemented from published rules: {rules.source}"
    peer = Peer(rules, settings, conditions, outcome)
    peer.run(fitted, progress)
    peer.meter.close()
    outcome.took, outcome.events = time.monotonic() - began, peer.time.count
    return outcome


def clairvoyant(settings: Settings, fitted: Fitted) -> Outcome:
    """The bound: every job starts at once, on the cheapest offer's share of a VM, and pays for not a second more.

    No policy can cost less for this trace: a VM cannot be bought in shares, nor without its boot.
    """
    outcome = Outcome("clairvoyant bound", settings.currency, misfits=sum(fitted.misfits.values()))
    outcome.remark = "a bound that nobody can reach: no boot, no idle time, shares of VMs"
    pool_of = {part: pool for pool in settings.pools.values() for part in (pool.partitions or (pool.name,))}
    for _, job in fitted.jobs:
        pool = pool_of[job.partition]
        offer = min(pool.offers, key=lambda one: one.price_per_hour or 0.0)
        shares = [job.need.cpus / pool.shape.cpus if pool.shape.cpus else 0.0]
        if pool.shape.gpu_count:
            shares.append(job.need.gpu_count / pool.shape.gpu_count)
        runs = job.runs if job.limit is None else min(job.runs, job.limit)
        hours = max(shares) * job.nodes * runs / 3600
        outcome.add_job(0.0, runs)
        for share in (
            outcome.total,
            outcome.pools.setdefault(pool.name, Share()),
            outcome.sites.setdefault(offer.site, Share()),
        ):
            share.cost += hours * (offer.price_per_hour or 0.0)
            share.hours += hours
            share.used_hours += hours
            share.cpu_hours += job.need.cpus * job.nodes * runs / 3600
            share.cpu_hours_bought += pool.shape.cpus * hours
    return outcome
