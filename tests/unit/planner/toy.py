"""A world in memory around the real reconciler: a toy Slurm, toy clouds, a clock that is turned by hand, and a demon.

The demon is a seeded random number generator that breaks things at every turn. After each turn the world says what was
broken that must never break (:attr:`World.broken`); at the end it has to come to rest.
"""

from __future__ import annotations

import random
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta

from clues.clock import SteadyClock
from clues.errors import AuthFailed, LedgerError, Transient
from clues.ledger import Commit
from clues.model import Claim, ClaimState, Facts, Kind, Resources, Wish
from clues.reconciler import Books, Counter, Observer, Reconciler
from tests.unit.builders import CPU_SHAPE
from tests.unit.planner.toy_cloud import ToyCloud, ToyVM
from tests.unit.planner.toy_daemon import (
    CLUSTER,
    Killed,
    ShakyExecutor,
    ToyTime,
    ToyWorkers,
    make_ledger,
    request_for,
)
from tests.unit.planner.toy_pins import PinWatch
from tests.unit.planner.toy_settings import LIMITS, TURN, toy_settings
from tests.unit.planner.toy_slurm import ToyJob, ToySlurm
from tests.unit.planner.toy_tunnels import ToyTunnels


class World:
    """Everything together. ``World(seed).run()`` plays a whole day of it and returns what was broken."""

    def __init__(
        self,
        seed: int,
        *,
        faults: bool = True,
        lose_ledger: bool = False,
        empty_state: bool = False,
        private: bool = False,
    ) -> None:
        """:param private: the site aws lies behind a router."""
        self.seed, self.chance, self.faults = seed, random.Random(seed), faults
        self.lose_ledger, self.empty_state = lose_ledger, empty_state
        self.kill_rate, self.disk_full = 0.01, False
        self.time = ToyTime()
        self.settings = toy_settings(private=private)
        self.overlay = ToyTunnels(self, "aws" if private else "")
        self.slurm = ToySlurm(self.settings.pools.values(), self.time.now, self.chance)
        self.slurm.add_static("head-1", "cpu", Resources(2, 4096))
        self.slurm.alive, self.slurm.sound, self.slurm.answers = self._is_alive, self._is_sound, self._answers
        self.clouds = {
            name: ToyCloud(name, CLUSTER, LIMITS[name], self.time.now, self.chance) for name in self.settings.sites
        }
        for cloud in self.clouds.values():
            cloud.busy = self._job_on
            cloud.faults = faults
        self.broken: list[str] = []
        self.log: list[str] = []
        self.kills = 0
        self.doubles: Tally[str] = Tally()
        self.watch = PinWatch()
        self.ledger = make_ledger(self)
        self.static = self.slurm.fingerprint_of_static()
        self.until_turn: dict[str, int] = {}
        self.turn = 0
        self.start()

    # --- the daemon ---

    def start(self) -> None:
        """A new daemon over what the ledger holds; it knows nothing else."""
        self.clock = SteadyClock(self.time.wall, self.time.monotonic)
        self.workers = ToyWorkers(self.time, self.chance)
        self.books = Books(self.ledger, self.clock.now())
        self.observer = Observer(self.slurm, self.workers, self.clock, self.settings.pace)
        self.reconciler = Reconciler(CLUSTER, self.settings, self.books, self.observer, self.overlay, self.clock)
        executor = ShakyExecutor(self.workers, self.slurm, dict(self.clouds), request_for, self.reconciler)
        executor.demon = self
        self.reconciler.use(executor)
        self.counter = Counter(self.reconciler, self.books, self.observer, self.clock)

    def kill(self) -> None:
        """kill -9, and a new start; now and then without the ledger."""
        self.kills += 1
        self.workers.die()
        if self.lose_ledger and self.strikes(0.3):
            self.say("the ledger is lost")
            self.ledger = make_ledger(self)
            for cloud in self.clouds.values():
                cloud.forgotten = True
            for job in self.slurm.jobs.values():
                job.original = job.constraint  # that it is pinned is lost, too
        self.start()

    # --- time ---

    def run(self, turns: int = 120, most: int = 900) -> list[str]:
        """Let the demon work for so many turns, then let the world come to rest."""
        while self.turn < most and not self.broken:
            self.turn += 1
            if self.turn <= turns:
                self._jobs_come(turns)
                if self.faults:
                    self._demon()
            elif self.turn == turns + 1:
                self._calm()
            elif self.turn % 20 == 0:
                self._admin_resumes("POWERED_DOWN")  # one that was on its way out then got its admin's reason back
            self._pass()
            if self.turn > turns and self._at_rest():
                break
        else:
            if not self.broken:
                self.broken.append(f"not at rest after {self.turn} turns: {self._unrest()}")
        self._count_launches()
        return self.broken

    def _pass(self) -> None:
        self.time.passed += TURN.total_seconds()
        self.slurm.step()
        for cloud in self.clouds.values():
            cloud.step()
        try:
            self._vms()
            self._daemon_works()
        except Killed:
            self.say("killed")
            self.kill()
        self._check()

    def _daemon_works(self) -> None:
        self.observer.pump()
        for _ in range(200):
            if not self.workers.work():
                return
        raise AssertionError("the daemon finds no rest within one turn")

    def _vms(self) -> None:
        now = self.time.now()
        for cloud in self.clouds.values():
            for vm in cloud.vms.values():
                if vm.alive and now >= vm.boots_at and vm.fate != "never-boots":
                    self._vm_boots(vm, now)

    def _vm_boots(self, vm: ToyVM, now: datetime) -> None:
        if vm.is_router:
            self._router_boots(vm, now)
        elif not self.overlay.leads_to(vm.site):
            return  # neither the enrolment nor slurmctld can be reached from there
        elif not vm.enrolled:
            bad = vm.fate == "wrong-facts"
            facts = Facts(CPU_SHAPE.cpus // (2 if bad else 1), CPU_SHAPE.memory_mib)
            try:
                self.counter.redeem(vm.request.launch_key, f"key of {vm.id}", "", vm.address, facts)
            except (AuthFailed, Transient):
                return
            vm.enrolled, vm.slurmd_at = True, now + timedelta(seconds=6)
        elif not vm.registered and vm.slurmd_at is not None and now >= vm.slurmd_at:
            vm.registered = self.slurm.register(vm.request.node, vm.id)

    def _router_boots(self, vm: ToyVM, now: datetime) -> None:
        if vm.enrolled:
            return
        try:
            self.counter.redeem(vm.request.launch_key, f"key of {vm.id}", "", "198.51.100.9", Facts(1, 1024))
        except (AuthFailed, Transient):
            return
        vm.enrolled, vm.tunnel_at, vm.mute = True, now + timedelta(seconds=3), vm.fate == "wrong-facts"

    # --- the demon ---

    def strikes(self, rate: float) -> bool:
        """Whether the demon acts now; never once the world has come to rest."""
        return self.faults and self.chance.random() < rate

    def say(self, text: str) -> None:
        self.log.append(f"{self.time.passed:6.0f} {text}")

    def _jobs_come(self, turns: int) -> None:
        if self.turn > turns * 0.7 or self.chance.random() > 0.12:
            return
        number = str(101 + len(self.slurm.jobs))
        nodes, cpus = self.chance.choice([(1, 1), (1, 1), (1, 4), (1, 8), (2, 8), (2, 4), (3, 8)])
        site = self.chance.choice(["", "", "", "", "aws"]) if nodes == 1 else ""
        lasts = timedelta(seconds=self.chance.randint(5, 240))
        wanted = site or ("cpu" if nodes > 1 and int(number) % 2 else "")
        job = ToyJob(number, "cpu", nodes, cpus, self.chance.randint(1, 50), lasts, wanted, wanted)
        self.slurm.jobs[number] = job
        self.say(f"job {number}: {nodes} x {cpus} {site}")

    def _demon(self) -> None:
        self._lasting("slurm out", 0.01, 12)
        self.slurm.out = self._lasts("slurm out")
        self._lasting("disk full", 0.01, 10)
        self.disk_full = self._lasts("disk full")
        for name, cloud in self.clouds.items():
            self._lasting(f"{name} not listed", 0.015, 25)
            cloud.listing_fails = self._lasts(f"{name} not listed")
            self._lasting(f"{name} full", 0.015, 30)
            cloud.full = self._lasts(f"{name} full")
        for name in ("tunnel down", "hub down", "hub not read") if self.overlay.site else ():
            self._lasting(name, 0.015, 15)
        self.overlay.down = self._lasts("tunnel down")
        self.overlay.hub_down, self.overlay.unread = self._lasts("hub down"), self._lasts("hub not read")
        self.slurm.half_way = self.slurm.half_way or self.strikes(0.02)
        for rate, deed in (
            (0.01, self._clock_jumps),
            (0.02, self._job_is_cancelled),
            (0.015, self._admin_drains),
            (0.03, self._admin_resumes),
            (0.02, self._operator_wishes),
            (0.02, self._job_is_held),
            (0.01 if self.empty_state else 0.0, self._slurm_forgets),
            (0.01, self._daemon_is_killed),
            (0.01, self._slurm_reconfigures),
            *((0.02, deed) for deed in ((self._router_dies, self._router_is_wished_away) if self.overlay.site else ())),
        ):
            if self.strikes(rate):
                deed()

    def _clock_jumps(self) -> None:
        self.time.set_by += self.chance.choice([-120, -20, 30, 3600])
        self.say("clock set")

    def _job_is_cancelled(self) -> None:
        alive = [job for job in self.slurm.jobs.values() if job.state in {"PENDING", "RUNNING"}]
        if alive:
            job = self.chance.choice(alive)
            job.state = "CANCELLED"
            self.say(f"job {job.id} cancelled")

    def _job_is_held(self) -> None:
        for job in self.slurm.jobs.values():
            job.held = self.chance.random() < 0.15

    def _admin_drains(self) -> None:
        node = self.slurm.nodes[self.chance.choice(self.settings.pools["cpu"].nodes)]
        node.flags.add("DRAIN")
        node.reason = "broken fan [root]"
        self.say(f"admin drains {node.name}")

    def _admin_resumes(self, *having: str) -> None:
        for node in self.slurm.nodes.values():
            if node.admins and node.flags.issuperset(having) and not node.flags & {"POWERING_DOWN", "POWERING_UP"}:
                node.base, node.reason = "IDLE", ""
                node.flags.discard("DRAIN")
                node.resumed = node.vm

    def _operator_wishes(self) -> None:
        node = self.chance.choice(self.settings.pools["cpu"].nodes)
        wish = self.chance.choice([*Wish, None])
        self.counter_tries(lambda: self.counter.wish([node], wish, "admin"))
        self.say(f"operator: {node} {wish}")
        if self.strikes(0.2):
            self.counter_tries(lambda: self.counter.pause(self.chance.random() < 0.5, "admin"))

    def _router_dies(self) -> None:
        for vm in self.clouds[self.overlay.site].vms.values():
            if vm.is_router and vm.alive and not vm.mute:
                vm.mute = True
                self.clouds[self.overlay.site].failures += 1
                self.say(f"router {vm.id} falls silent")

    def _router_is_wished_away(self) -> None:
        wish = self.chance.choice([Wish.OFF, Wish.DISABLED, None])
        self.counter_tries(lambda: self._wish_for_router(wish))
        self.say(f"operator: router {wish}")

    def _wish_for_router(self, wish: Wish | None) -> None:
        name, operator = f"router-{self.overlay.site}", self.books.operator
        wishes = {node: one for node, one in operator.wishes.items() if node != name}
        wishes |= {} if wish is None else {name: wish}
        self.books.commit(Commit(operator=replace(operator, wishes=wishes)))

    def sees_launch(self, claim: Claim) -> None:
        """No worker is launched where no router carries its network."""
        if claim.kind is not Kind.WORKER or claim.offer.site != self.overlay.site or claim.launches > 1:
            return
        routers = [one.state for one in self.books.claims.values() if one.kind is Kind.ROUTER]
        if not {ClaimState.READY, ClaimState.DRAINING} & set(routers):
            self.broken.append(f"{claim.node} was launched without a ready router: {routers}")

    def counter_tries(self, call: Callable[[], None]) -> None:
        try:
            call()
        except LedgerError:
            pass
        except Killed:
            self.kill()

    def _slurm_forgets(self) -> None:
        self.slurm.forget_everything()
        self.say("slurmctld starts with an empty state")

    def _slurm_reconfigures(self) -> None:
        for node in self.slurm.nodes.values():
            node.active = node.features  # which site a node is bound to is lost, even under a running job
        self.say("slurmctld reconfigures")

    def _daemon_is_killed(self) -> None:
        self.say("killed at leisure")
        self.kill()

    def _lasting(self, name: str, rate: float, turns: int) -> None:
        if not self._lasts(name) and self.strikes(rate):
            self.until_turn[name] = self.turn + self.chance.randint(1, turns)
            self.say(name)

    def _lasts(self, name: str) -> bool:
        return self.until_turn.get(name, 0) > self.turn

    def _calm(self) -> None:
        """All faults end; what people have ordered is taken back, and what they hold is released."""
        self.faults = self.slurm.out = self.disk_full = self.slurm.half_way = False
        self.overlay.down = self.overlay.hub_down = self.overlay.unread = False
        self.until_turn.clear()
        for cloud in self.clouds.values():
            cloud.faults = cloud.listing_fails = cloud.full = False
        self._admin_resumes()
        for job in self.slurm.jobs.values():
            job.held = False
        self.counter.wish(list(self.settings.pools["cpu"].nodes), None, "admin")
        self._wish_for_router(None)
        self.counter.pause(False, "admin")
        self.say("calm")

    # --- what must never break ---

    def _check(self) -> None:
        self.broken += self.slurm.broken
        for cloud in self.clouds.values():
            self.broken += cloud.broken
        if self.slurm.fingerprint_of_static() != self.static:
            self.broken.append("a node outside the pools was changed")
        alive = Tally(vm.request.node for cloud in self.clouds.values() for vm in cloud.vms.values() if vm.alive)
        for name in [*self.slurm.nodes, f"router-{self.overlay.site}"]:
            # while a job runs there nobody can tell on which of the two
            unwatched = self._blind() or self.slurm.is_busy(name)
            self.doubles[name] = self.doubles[name] + 1 if alive[name] > 1 and not unwatched else 0
            if self.doubles[name] > 30:
                self.broken.append(f"two VMs live for {name} for {self.doubles[name]} turns")
        bought_for = {job for claim in self.books.claims.values() if claim.serving for job in claim.jobs}
        self.broken += self.watch.look(self.slurm.jobs.values(), self.books.memory.pins, bought_for, self._blind())
        # but for times: those that lie in the future after the clock was set back are read as now
        if _without_times(self.ledger.live_claims()) != _without_times(self.books.claims):
            self.broken.append("the books say something else than the ledger")

    def _blind(self) -> bool:
        return self.slurm.out or self.disk_full or any(cloud.listing_fails for cloud in self.clouds.values())

    def _at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> str:
        jobs = [job.id for job in self.slurm.jobs.values() if job.state in {"PENDING", "RUNNING"}]
        vms = [
            f"{vm.id} for {vm.request.node}"
            for cloud in self.clouds.values()
            for vm in cloud.vms.values()
            if vm.alive or vm.gone_at is None
        ]
        claims = [f"{claim.key} {claim.state}: {claim.reason}" for claim in self.books.claims.values()]
        open_ones = [
            f"{node.name} {node.base}+{'+'.join(node.flags)} {node.reason}"
            for node in self.slurm.nodes.values()
            if node.cloud and ("DRAIN" not in node.flags or "POWERED_DOWN" not in node.flags)
        ]
        parts = (("jobs", jobs), ("VMs", vms), ("claims", claims), ("nodes not closed", open_ones))
        return "; ".join(f"{what} {which}" for what, which in parts if which)

    def _count_launches(self) -> None:
        keys = {key for cloud in self.clouds.values() for key in cloud.asked}
        routers = sum("-router-" in key for key in keys)
        launches = len(keys) - routers
        failures = sum(cloud.failures for cloud in self.clouds.values())
        wanted = sum(job.nodes for job in self.slurm.jobs.values())
        # each node of a job once, again for each thing that went wrong, and what operators switched on
        orders = sum(1 for line in self.log if "operator" in line or "admin" in line or "slurm" in line)
        most = wanted + 2 * failures + 6 * orders + 3 * self.kills + 6
        if launches > most:
            self.broken.append(f"{launches} launches for {wanted} wanted nodes and {failures} failures")
        cuts = sum(1 for line in self.log if "router" in line or "tunnel" in line or "hub" in line)
        if routers > launches + failures + cuts + 2 * self.kills + 2:
            self.broken.append(f"{routers} routers for {launches} workers, {cuts} cuts and {failures} failures")

    def _is_alive(self, vm: str) -> bool:
        return vm.startswith("static") or any(
            one.alive for cloud in self.clouds.values() if (one := cloud.vms.get(vm)) is not None
        )

    def _answers(self, vm: str) -> bool:
        site = next((name for name, cloud in self.clouds.items() if vm in cloud.vms), "")
        return self._is_alive(vm) and self.overlay.leads_to(site)

    def _is_sound(self, vm: str) -> bool:
        return not any(cloud.vms[vm].fate == "wrong-facts" for cloud in self.clouds.values() if vm in cloud.vms)

    def _job_on(self, vm: str) -> str:
        for job in self.slurm.jobs.values():
            # a node that Slurm powered up by itself may come to life with a VM that is on its way out
            if job.state == "RUNNING" and vm in job.vms and not self.slurm.nodes[job.on[job.vms.index(vm)]].by_slurm:
                return job.id
        return ""

    def story(self) -> str:
        """The whole life of the world, for somebody who has to find out."""
        notes = [f"  note {note.at:%H:%M:%S} {note.subject}: {note.text}" for note in self.ledger.notes(limit=80)]
        return "\n".join([*self.log, *notes, *self.broken])


def _without_times(claims: Mapping[str, Claim]) -> dict[str, dict[str, object]]:
    names = [field.name for field in fields(Claim) if "datetime" not in str(field.type)]
    return {key: {name: getattr(claim, name) for name in names} for key, claim in claims.items()}
