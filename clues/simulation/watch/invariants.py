"""What must never happen, looked at after every event.

Most of it is looked at where it would happen: a commit, a launch, a termination, a command to Slurm.  What has to hold
over time (no VM unknown for long, no two for one node) is kept as short lists of suspects that are looked through after
each event.  In small worlds :meth:`Watch.whole` goes through everything besides.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from clues.ledger import Commit
from clues.lifecycle import PERMITTED
from clues.model import Attach, Claim, ClaimState, Kind, LaunchRequest
from clues.simulation.clouds.cloud import SimCloud
from clues.simulation.clouds.vms import SimVM
from clues.simulation.watch.habits import HabitWatch
from clues.simulation.watch.money import unpaid
from clues.simulation.watch.slurm import Landscape, SlurmWatch
from clues.simulation.watch.trying import TryWatch
from clues.simulation.worlds.retiring import DrainWatch

#: How long the daemon, able to look and to act, may take to know a VM of ours, or to end one of two for one node.
UNKNOWN, DOUBLE = 600.0, 900.0
#: Bursts of launches that one offer may refuse for want of capacity within an hour, with no VM made between them; and
#: VMs for one node within ten minutes.
REFUSALS, FLAPS = 30, 12
#: Refusals so close together are those of one tick's launches, in seconds.
BURST = 10.0

#: The states of a claim while its VM may be ended, and while a launch of it may still reach the provider.
_MAY_END = {ClaimState.STOPPING}
_MAY_LAUNCH = {ClaimState.LAUNCHING, ClaimState.FAILED, ClaimState.STOPPING, ClaimState.JOINING, ClaimState.BOOTING}


@dataclass(slots=True)
class Suspect:
    """Something that may be for a while; ``since`` moves on while the daemon cannot see or act."""

    since: float


class Watch(SlurmWatch):
    """The one that looks at everything."""

    def __init__(self, world: Landscape) -> None:
        super().__init__(world)
        self._unknown: dict[str, Suspect] = {}
        self._double: dict[str, Suspect] = {}
        self._alive: dict[str, list[SimVM]] = {}
        self._generations: dict[tuple[str, int], str] = {}
        self._resting: dict[tuple[str, str], tuple[float, int, str]] = {}
        self._refusals: dict[str, deque[float]] = {}
        self._launches: dict[str, deque[float]] = {}
        self.trying = TryWatch(self.tell)
        self._static = self._fingerprint()
        self._fresh = True
        self.drains = DrainWatch(self.tell)
        self.habits = HabitWatch(self.tell)
        self.looks = 0

    def forget(self) -> None:
        """The ledger was lost: what was promised before holds no longer."""
        self._committed.clear()
        self._generations.clear()
        self._resting.clear()
        self.trying.forget()

    # --- the ledger ---

    def commits(self, change: Commit, states: Mapping[str, ClaimState]) -> None:
        """A change is about to be committed."""
        ends = {claim.key for claim in change.claims if not claim.live}
        daemon = self._world.daemon
        if change.claims and daemon.up:
            snapshot = daemon.observer.snapshot.value
            self.drains.commits(self._committed, change.claims, daemon.reconciler.settings, snapshot)
        for claim in change.claims:
            before = states.get(claim.key)
            if before is None:
                self._new_claim(claim, ends)
            elif before is not claim.state and (before, claim.state) not in PERMITTED:
                self.tell(f"claim {claim.key} goes from {before} to {claim.state}", claim.key, claim.node)
            elif not claim.live and before is not claim.state:
                self._has_no_vm(claim)
            elif before is ClaimState.DRAINING and claim.state is ClaimState.STOPPING:
                self._is_idle(claim)
        self._is_paid_for(change, [one for one in change.claims if one.key not in states and not one.adopted])

    def _is_idle(self, claim: Claim) -> None:
        """A claim is about to be stopped, as its node was seen drained and idle."""
        node = self._world.slurm.nodes.get(claim.node)
        jobs = [job.id for job in node.jobs.values() if claim.instance_id in job.vms] if node is not None else []
        if jobs and self._lives(claim.instance_id) and not claim.by_operator:
            self.tell(f"{claim.node} is to be stopped, and job {jobs[0]} has not left it", claim.key, f"job {jobs[0]}")

    def _has_no_vm(self, claim: Claim) -> None:
        """A claim is about to be closed, as its VM is gone by the provider's word."""
        for vm in self._alive.get(claim.node, ()):
            if vm.id == claim.instance_id or (vm.key == claim.key and not vm.late and not claim.instance_id):
                self.tell(f"claim {claim.key} is closed, and its VM {vm.id} lives", claim.key, vm.id)

    def committed(self, change: Commit) -> None:
        """It is on the disk."""
        self.trying.committed(change)
        for claim in change.claims:
            if not claim.adopted:
                self._generations.setdefault((claim.node, claim.generation), claim.key)
            if claim.live:
                self._committed[claim.key] = claim
            else:
                self._committed.pop(claim.key, None)
        self._fresh = True

    def _new_claim(self, claim: Claim, ends: Collection[str]) -> None:
        if claim.adopted:
            return
        self.habits.bought(claim.node, self._world.time.passed)
        used = self._generations.get((claim.node, claim.generation), claim.key)
        if used != claim.key:
            self.tell(f"generation {claim.generation} of {claim.node} is used again", used, claim.key)
        others = [
            one
            for one in self._committed.values()
            if one.node == claim.node and one.key != claim.key and one.key not in ends
        ]
        if others and claim.kind is Kind.WORKER:
            self.tell(f"{claim.node} is bought although claim {others[0].key} backs it", claim.key, others[0].key)

    def _is_paid_for(self, change: Commit, new: list[Claim]) -> None:
        """New claims are about to be committed: every budget has to pay for them, with all that lives."""
        daemon = self._world.daemon
        if new and daemon.up:
            after = {**self._committed, **{claim.key: claim for claim in change.claims}}
            for text in unpaid(self._world.settings, daemon.ledger, after.values(), new, daemon.clock.now()):
                self.tell(f"{new[0].node} is bought although {text}", *(claim.key for claim in new))

    # --- the clouds ---

    def launching(self, cloud: SimCloud, request: LaunchRequest) -> None:
        """A launch reaches the provider."""
        key = request.launch_key
        claim = self._committed.get(key)
        if not self._world.forgotten and (claim is None or claim.state not in _MAY_LAUNCH or claim.launches < 1):
            known = "no claim" if claim is None else f"a claim that is {claim.state}"
            self.tell(f"{request.node} is launched at {cloud.name} on {known}: its intent is not committed", key)
        self._behind_router(request)

    def _behind_router(self, request: LaunchRequest) -> None:
        """No worker is launched where no router carries its network; later its router may go, and come again."""
        site = self._world.settings.sites.get(request.offer.site)
        claim = self._committed.get(request.launch_key)
        if site is None or site.attach is not Attach.ROUTER or request.kind is not Kind.WORKER:
            return
        if claim is None or claim.launches > 1:
            return
        routers = [one.state for one in self._committed.values() if one.node == site.router_node]
        if not {ClaimState.READY, ClaimState.DRAINING} & set(routers) and not self._world.forgotten:
            self.tell(f"{request.node} is launched without a ready router of {site.name}", request.launch_key)

    def refused(self, offer: str) -> None:
        """A provider had no room for an offer."""
        now, recent = self._world.time.passed, self._refusals.setdefault(offer, deque())
        if not recent or now - recent[-1] > BURST:
            recent.append(now)
        while recent[0] < now - 3600:
            recent.popleft()
        if len(recent) > REFUSALS:
            self.tell(f"{offer} was refused {len(recent)} times within an hour, and is asked again and again", offer)

    def made(self, vm: SimVM) -> None:
        """A VM exists."""
        world, now = self._world, self._world.time.passed
        self._by_id[vm.id] = vm
        self.trying.made(vm.request.pool or vm.node, now)
        alive = self._alive.setdefault(vm.node, [])
        alive.append(vm)
        recent = self._launches.setdefault(vm.node, deque())
        recent.append(now)
        while recent[0] < now - 600:
            recent.popleft()
        if len(recent) > FLAPS:
            self.tell(f"{len(recent)} VMs were made for {vm.node} within ten minutes", vm.key, vm.node)
        self._refusals.pop(vm.request.offer.key, None)
        strict = not world.forgotten and not any(one.late for one in (*alive, *world.clouds[vm.site].living()))
        if len(alive) > 1:
            self._double[vm.node] = Suspect(now)
            if strict:
                others = ", ".join(f"{one.id} of {one.key}" for one in alive[:-1])
                self.tell(f"a second VM {vm.id} is made for {vm.node}, which has {others}", vm.node, vm.key)
        if strict:
            self._within_limits(vm)
            self._address_is_free(vm)
        if not self._is_known(vm):
            self._unknown[vm.id] = Suspect(now)

    def ended(self, vm: SimVM) -> None:
        """A VM does not run any more."""
        self.habits.ended(vm)
        alive = self._alive.get(vm.node, [])
        if vm in alive:
            alive.remove(vm)
            if not alive:
                del self._alive[vm.node]
        if len(alive) < 2:
            self._double.pop(vm.node, None)
        if vm.gone_at is not None or vm.ended_at is not None:
            self._by_id.pop(vm.id, None)
            self._unknown.pop(vm.id, None)
        self._resting[vm.site, vm.address] = (self._world.time.passed, self._world.daemon.kills, vm.key)

    def terminating(self, vm: SimVM) -> None:
        """The daemon has the provider end a VM."""
        claim = self._committed.get(vm.key) or next(
            (one for one in self._committed.values() if one.instance_id == vm.id), None
        )
        second = next((one for one in self._committed.values() if one.instance_id == vm.id), claim)
        if second is None or second.state not in _MAY_END:
            known = "no claim says so" if second is None else f"its claim is {second.state}"
            if not (self._world.forgotten and second is None):
                self.tell(f"VM {vm.id} of {vm.node} is ended, and {known}", vm.key, vm.node)
        node = self._world.slurm.nodes.get(vm.node)
        if node is not None:
            jobs = [job.id for job in node.jobs.values() if vm.id in job.vms and not node.by_slurm]
            if jobs and vm.alive:
                self.tell(f"VM {vm.id} of {vm.node} is ended under job {jobs[0]}", vm.node, f"job {jobs[0]}")

    def _within_limits(self, vm: SimVM) -> None:
        limits = self._world.settings.sites[vm.site].limits
        living = list(self._world.clouds[vm.site].living())
        pools = self._world.settings.pools
        count = len(living)
        shapes = [one.request.shape for one in living if one.request.pool in pools or one.is_router]
        cpus, gpus = sum(one.cpus for one in shapes), sum(one.gpu_count for one in shapes)
        cost = sum(one.price_per_hour for one in living)
        for what, most, now in (
            ("VMs", limits.vms, count),
            ("CPUs", limits.cpus, cpus),
            ("GPUs", limits.gpus, gpus),
            ("an hour", limits.cost_per_hour, cost),
        ):
            if most is not None and now > most + 1e-9:
                self.tell(f"{now:g} {what} live at {vm.site}, its limit is {most:g}", vm.site, vm.key)

    def _address_is_free(self, vm: SimVM) -> None:
        if not vm.request.address:
            return
        twins = [
            one.id
            for one in self._world.clouds[vm.site].living()
            if one is not vm and one.address == vm.address and one.alive
        ]
        if twins:
            self.tell(f"VM {vm.id} has the address {vm.address} of {twins[0]}", vm.key, vm.node)
        # a router has one address of its own, and takes it over from its predecessor
        rested, starts, key = self._resting.get((vm.site, vm.address), (None, 0, ""))
        if key == vm.key:
            return  # its launch was sent again: the first VM had died before its answer came
        if starts != self._world.daemon.kills:
            return  # the wall clock may have been set: how long ago that was a daemon started since cannot tell
        quarantine = self._world.settings.pace.quarantine.total_seconds()
        if rested is not None and not vm.is_router and self._world.time.passed - rested < quarantine - 1:
            self.tell(f"VM {vm.id} has the address {vm.address}, whose last VM ended just now", vm.key, vm.node)

    # --- over time ---

    def look(self) -> None:
        """After each event."""
        self.looks += 1
        if not self._unknown and not self._double:
            return
        now = self._world.time.passed
        if self._world.blind():
            for suspect in (*self._unknown.values(), *self._double.values()):
                suspect.since = now
            return
        if self._fresh:
            self._fresh = False
            for name in [name for name in self._unknown if self._is_known(self._by_id.get(name))]:
                del self._unknown[name]
        for name, suspect in self._unknown.items():
            if now - suspect.since > UNKNOWN:
                self.tell(f"VM {name} with our tag is known to nobody for {now - suspect.since:.0f} s", name)
        for name, suspect in self._double.items():
            node = self._world.slurm.nodes.get(name)
            if node is not None and node.jobs:
                suspect.since = now  # on which of the two the job runs nobody can tell
            elif now - suspect.since > DOUBLE:
                self.tell(f"two VMs live for {name} for {now - suspect.since:.0f} s", name)

    def _is_known(self, vm: SimVM | None) -> bool:
        if vm is None:
            return True
        claim = self._committed.get(vm.key)
        if claim is not None and claim.instance_id in ("", vm.id) and claim.offer.site == vm.site:
            return True
        return any(one.instance_id == vm.id and one.offer.site == vm.site for one in self._committed.values())

    def lost_claims(self) -> None:
        """Claims may have been forgotten: every VM has to be known again."""
        for vm in list(self._by_id.values()):
            if vm.id not in self._unknown and not self._is_known(vm):
                self._unknown[vm.id] = Suspect(self._world.time.passed)

    def whole(self) -> None:
        """Go through everything: for small worlds, now and then."""
        world = self._world
        if self._fingerprint() != self._static:
            self.tell("a node outside the pools was changed")
        self.lost_claims()
        alive = Counter(vm.key for cloud in world.clouds.values() for vm in cloud.living() if vm.alive)
        for key, count in alive.items():
            if count > 1:
                self.tell(f"{count} VMs carry the launch key {key}", key)
        if world.daemon.up:
            books = _without_times(world.daemon.books.claims)
            if books != _without_times(world.daemon.ledger.live_claims()):
                self.tell("the books say something else than the ledger")
        self.habits.late(world.settings.pace, world.time.passed, up=world.daemon.up, kills=world.daemon.kills)
        self._pins()

    def _fingerprint(self) -> tuple[object, ...]:
        static = [node for node in self._world.slurm.nodes.values() if not node.cloud]
        return tuple((one.name, one.down, tuple(sorted(one.flags)), one.reason, one.address) for one in static)


def _without_times(claims: Mapping[str, Claim]) -> dict[str, dict[str, object]]:
    """Return the claims but for times: after the clock was set back those in the future are read as now."""
    names = [field.name for field in fields(Claim) if "datetime" not in str(field.type)]
    return {key: {name: getattr(claim, name) for name in names} for key, claim in claims.items()}
