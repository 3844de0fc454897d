"""The demon: at moments drawn by chance it breaks something, for a moment or for a while.

What may break, how often and for how long is a table (:class:`Mischief`).  Everything comes to an end at a set time,
and what people have ordered meanwhile is taken back, so that the world can be seen to come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from clues.errors import InvalidRequest, LedgerError, NotFound
from clues.ledger import Commit
from clues.model import InstanceState, Wish
from clues.simulation.slurm.parts import JobState
from clues.simulation.world import World
from clues.simulation.worlds.retiring import with_image


@dataclass(frozen=True, slots=True)
class Mischief:
    """One kind of fault: so often in an hour, and how long it lasts at the most, in seconds (0: it is a moment's)."""

    per_hour: float
    lasts: float = 0.0


#: A day on which everything happens.
STORM: Mapping[str, Mischief] = {
    "daemon killed": Mischief(6),
    "slurmctld out": Mischief(3, 240),
    "disk full": Mischief(2, 200),
    "site not listed": Mischief(4, 300),
    "site lost": Mischief(2, 400),
    "site full": Mischief(4, 600),
    "clock set": Mischief(3),
    "half a command": Mischief(4),
    "job cancelled": Mischief(4),
    "job held": Mischief(4, 300),
    "admin drains": Mischief(3, 900),
    "operator wishes": Mischief(5),
    "operator pauses": Mischief(1, 200),
    "reconfigured": Mischief(3),
    "VM lost": Mischief(3),
    "slurmd restarts": Mischief(3),
    "kill task failed": Mischief(2),
}

#: What is added where a site lies behind a router.
TUNNELS: Mapping[str, Mischief] = {
    "tunnel cut": Mischief(4, 200),
    "hub down": Mischief(2, 200),
    "hub not read": Mischief(3, 200),
    "router mute": Mischief(3),
    "router lost": Mischief(2),
    "router wished away": Mischief(1, 200),
}


@dataclass
class Demon:
    """Breaks a world until *until*, in seconds of its time."""

    world: World
    mischief: Mapping[str, Mischief]
    until: float
    #: faults that last, with the number of those that hold each
    _held: dict[str, int] = field(default_factory=dict)
    deeds: int = 0

    def begin(self) -> None:
        """Draw when each kind strikes first; the end is fixed."""
        for name, one in self.mischief.items():
            self._next(name, one)
        self.world.time.at(self.until, self._calm)

    @property
    def asleep(self) -> bool:
        return self.world.time.passed >= self.until

    def strike(self, name: str) -> None:
        """Do one thing now."""
        one = self.mischief.get(name, Mischief(0, 120))
        self.deeds += 1
        self.world.story.tell(f"demon: {name}")
        begin, end = self._deed(name)
        begin()
        if one.lasts:
            lasts = self.world.chance.uniform(1, one.lasts)
            self._held[name] = self._held.get(name, 0) + 1
            self.world.time.after(lasts, lambda: self._ends(name, end))

    def _next(self, name: str, one: Mischief) -> None:
        wait = self.world.chance.expovariate(one.per_hour / 3600)
        if self.world.time.passed + wait >= self.until:
            return

        def strike() -> None:
            if not self.asleep:
                self.strike(name)
                self._next(name, one)

        self.world.time.after(wait, strike)

    def _ends(self, name: str, end: Callable[[], None]) -> None:
        self._held[name] -= 1
        if self._held[name] <= 0 and not self.asleep:
            end()

    def _deed(self, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
        world, chance = self.world, self.world.chance
        cloud = chance.choice(list(world.clouds.values()))
        deeds: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "daemon killed": (lambda: world.kill(chance.choice([1, 5, 30, 120])), _nothing),
            "ledger lost": (world.lose_ledger, _nothing),
            "slurmctld out": (lambda: self._slurm_out(True), lambda: self._slurm_out(False)),
            "slurmctld forgets": (world.slurm.forget, _nothing),
            "disk full": (lambda: self._disk_full(True), lambda: self._disk_full(False)),
            "site not listed": (lambda: _set(cloud, "unlisted", True), self._all_listed),
            "site lost": (lambda: _set(cloud, "lost", True), self._all_found),
            "site full": (lambda: cloud.full.add("*"), self._all_empty),
            "clock set": (self._clock, _nothing),
            "half a command": (lambda: _set(world.lrms, "half_way", True), _nothing),
            "job cancelled": (self._cancel, _nothing),
            "job held": (lambda: self._hold(True), lambda: self._hold(False)),
            "admin drains": (self._admin_drains, self._admin_resumes),
            "operator wishes": (self._wish, _nothing),
            "operator pauses": (lambda: self._pause(True), lambda: self._pause(False)),
            "site maintenance": (self._announce, self._cancel_all),
            "reconfigured": (world.slurm.reconfigure, _nothing),
            "image changed": (self._image, _nothing),
            "VM lost": (lambda: self._vm_lost(routers=False), _nothing),
            "slurmd restarts": (self._slurmd, _nothing),
            "kill task failed": (self._kill_task, _nothing),
            "tunnel cut": (lambda: self._cut(True), lambda: self._cut(False)),
            "hub down": (lambda: self._hub(True), lambda: self._hub(False)),
            "hub not read": (lambda: _set(world.overlay, "unread", True), lambda: _set(world.overlay, "unread", False)),
            "router mute": (self._mute, _nothing),
            "router lost": (lambda: self._vm_lost(routers=True), _nothing),
            "router wished away": (lambda: self._wish_router(Wish.OFF), lambda: self._wish_router(None)),
        }
        return deeds[name]

    # --- the deeds ---

    def _slurm_out(self, out: bool) -> None:
        if out:
            self.world.slurm.out = True
        else:
            self.world.slurm.come_back()

    def _disk_full(self, full: bool) -> None:
        self.world.ledger.full = full

    def _all_listed(self) -> None:
        for cloud in self.world.clouds.values():
            cloud.unlisted = False

    def _all_found(self) -> None:
        for cloud in self.world.clouds.values():
            cloud.lost = False

    def _all_empty(self) -> None:
        for cloud in self.world.clouds.values():
            cloud.full.clear()

    def _clock(self) -> None:
        self.world.time.set_by = self.world.chance.choice([-3600, -120, -20, 0, 30, 3600])

    def _cancel(self) -> None:
        jobs = [job for job in self.world.slurm.active.values() if job.state is not JobState.COMPLETING]
        if jobs:
            self.world.slurm.cancel(self.world.chance.choice(jobs))

    def _hold(self, held: bool) -> None:
        for job in list(self.world.slurm.queue):
            job.held = held and self.world.chance.random() < 0.3
            self.world.slurm.change(job)

    def _pool_node(self) -> str:
        return self.world.chance.choice([name for pool in self.world.settings.pools.values() for name in pool.nodes])

    def _admin_drains(self) -> None:
        node = self.world.slurm.nodes[self._pool_node()]
        self.world.slurm.drain(node, "broken fan [root]")

    def _admin_resumes(self) -> None:
        for node in self.world.slurm.nodes.values():
            if node.reason_of_admin and not node.flags & {"POWERING_DOWN", "POWERING_UP"}:
                node.down, node.reason = False, ""
                node.flags.discard("DRAIN")
                self.world.slurm.touched.add(node.name)
                self.world.slurm.wake()

    def _order(self, call: Callable[[], object]) -> None:
        if not self.world.daemon.up:
            return
        try:
            self.world.daemon.call(call)
        except (LedgerError, InvalidRequest, NotFound):
            self.world.story.tell("demon: an order was refused")

    def _wish(self) -> None:
        node, wish = self._pool_node(), self.world.chance.choice([*Wish, None, None])
        self.world.story.tell(f"operator: {node} {wish}")
        self._order(lambda: self.world.daemon.counter.wish([node], wish, "admin"))

    def _image(self) -> None:
        world = self.world
        world.settings = with_image(world.settings, f"worker-{self.deeds}")
        world.daemon.configure(world.settings)

    def _pause(self, paused: bool) -> None:
        self._order(lambda: self.world.daemon.counter.pause(paused, "admin"))

    def _announce(self) -> None:
        world, chance = self.world, self.world.chance
        if not world.daemon.up:
            return
        site, now = chance.choice(list(world.clouds)), world.daemon.clock.now()
        begin = now + timedelta(seconds=chance.uniform(0, 900))
        end = begin + timedelta(seconds=chance.uniform(60, 900))
        lead = chance.choice([None, timedelta(0), timedelta(seconds=300)])
        self._order(lambda: world.daemon.counter.announce_maintenance(site, begin, end, lead, "admin"))

    def _cancel_all(self) -> None:
        for one in self.world.daemon.books.operator.maintenance:
            self._order(partial(self.world.daemon.counter.cancel_maintenance, one.number, "admin"))

    def _wish_router(self, wish: Wish | None) -> None:
        names = [self.world.settings.sites[site].router_node for site in self.world.overlay.routed]
        if not names:
            return
        operator = self.world.daemon.books.operator
        wishes = {node: one for node, one in operator.wishes.items() if node not in names}
        wishes |= dict.fromkeys(names, wish) if wish is not None else {}
        change = Commit(operator=replace(operator, wishes=wishes))
        self._order(lambda: self.world.daemon.books.commit(change))

    def _vm_lost(self, *, routers: bool) -> None:
        found = [
            vm for cloud in self.world.clouds.values() for vm in cloud.living() if vm.alive and vm.is_router is routers
        ]
        if found:
            vm = self.world.chance.choice(found)
            cloud = self.world.clouds[vm.site]
            cloud.failures += 1
            if self.world.chance.random() < 0.2:
                cloud.spoil(vm, InstanceState.STOPPED)
            else:
                cloud.lose(vm, listed=self.world.chance.random() < 0.5)

    def _slurmd(self) -> None:
        """A slurmd registers again, as after a restart: also where Slurm has just powered its node down."""
        found = [vm for cloud in self.world.clouds.values() for vm in cloud.living() if vm.registered_at and vm.alive]
        if found:
            vm = self.world.chance.choice(found)
            self.world.slurm.register(vm.node, vm.id)

    def _kill_task(self) -> None:
        busy = [node for node in self.world.slurm.nodes.values() if node.cloud and node.jobs]
        if busy:
            self.world.slurm.drain(self.world.chance.choice(busy), "Kill task failed")

    def _cut(self, cut: bool) -> None:
        for site in self.world.overlay.routed:
            if cut:
                self.world.overlay.cut.add(site)
            else:
                self.world.overlay.cut.discard(site)
            self.world.look_after_site(site)

    def _hub(self, down: bool) -> None:
        self.world.overlay.hub_down = down
        for site in self.world.overlay.routed:
            self.world.look_after_site(site)

    def _mute(self) -> None:
        for site in self.world.overlay.routed:
            for vm in self.world.clouds[site].living():
                if vm.is_router and vm.alive and not vm.mute:
                    vm.mute = True
                    self.world.clouds[site].failures += 1
                    self.world.look_after_site(site)

    def _calm(self) -> None:
        """All faults end; what people have ordered is taken back, and what they hold is released."""
        world = self.world
        world.story.tell("calm")
        world.slurm.come_back()
        world.ledger.full = world.lrms.half_way = False
        world.lrms.fails = lambda: False
        for cloud in world.clouds.values():
            cloud.faults = cloud.lost = cloud.unlisted = False
            cloud.full.clear()
            cloud.capacity.clear()
        world.overlay.hub_down = world.overlay.unread = False
        world.overlay.cut.clear()
        for site in world.overlay.routed:
            world.look_after_site(site)
        for job in list(world.slurm.queue):
            job.held = False
            world.slurm.change(job)
        self._admin_resumes()
        self._take_back()

    def _take_back(self) -> None:
        if not self.world.daemon.up:
            self.world.time.after(10.0, self._take_back)
            return
        nodes = [name for pool in self.world.settings.pools.values() for name in pool.nodes]
        self._order(lambda: self.world.daemon.counter.wish(nodes, None, "admin"))
        self._wish_router(None)
        self._pause(False)
        self._cancel_all()


def _nothing() -> None:
    """It was a moment's."""


def _set(thing: object, name: str, value: bool) -> None:
    setattr(thing, name, value)
