"""One site's provider in memory: a :class:`clues.ports.Connector` with VMs that take their time, or never come.

Answers get lost before and after the effect, a launch may be carried out after it was refused, listings lag and forget,
capacity runs out and returns, the account is shared with strangers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from itertools import count
from random import Random

from clues.errors import InvalidRequest, NotFound, OutcomeUnknown
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    Market,
    Offer,
    Price,
    Soundness,
)
from clues.simulation.clouds.faults import ERRORS, HIDDEN, LATEST, Faults
from clues.simulation.clouds.vms import SimVM
from clues.simulation.timeline import Timeline
from clues.simulation.worlds.profiles import CloudProfile, pick


class Watcher:
    """What the world wants to know of a cloud; does nothing by itself."""

    def listing(self, cloud: SimCloud) -> None: ...

    def launching(self, cloud: SimCloud, request: LaunchRequest) -> None: ...

    def refused(self, offer: str) -> None: ...

    def made(self, vm: SimVM) -> None: ...

    def terminating(self, vm: SimVM) -> None: ...

    def ended(self, vm: SimVM) -> None: ...

    def moved(self, vm: SimVM) -> None: ...

    def broken(self, text: str) -> None: ...


class SimCloud(Faults):
    """One site."""

    def __init__(
        self,
        name: str,
        cluster: str,
        profile: CloudProfile,
        time: Timeline,
        chance: Random,
        watcher: Watcher,
        prices: Mapping[str, float] | None = None,
    ) -> None:
        """:param prices: by the offers' keys, in the cluster's currency."""
        super().__init__(profile, chance)
        self.name, self.cluster = name, cluster
        self._time, self._watcher, self._prices = time, watcher, dict(prices or {})
        self._by_key: dict[str, SimVM] = {}
        self._pictures: dict[str, Instance] = {}
        self.made = 0
        self.tells_prices: dict[str, Price] = {}
        self._serials = count(1)
        #: somebody's VM that looks like one of ours, and is listed all the same; None: there is none
        self.foreign: Instance | None = Instance(
            id=f"{name}-of-somebody",
            site=name,
            state=InstanceState.RUNNING,
            cluster="somebody-else",
            launch_key="0b5c4f0e-cpu-1-1",
            node="cpu-1",
            kind="worker",
        )

    def seen_by(self, cluster: str) -> SimCloud:
        """Return the same provider as another cluster sees it, which has its VMs in the same account."""
        other = copy(self)
        other.cluster = cluster
        return other

    # --- the port ---

    def list_instances(self) -> Listing:
        self._watcher.listing(self)
        self._meets("list", self.unlisted)
        now = self._time.passed
        mine = [vm for vm in self.vms.values() if vm.request.cluster == self.cluster]
        shown = [vm for vm in mine if vm.listed_from <= now and vm.hidden_until <= now]
        self._hide_one(shown, now)
        for vm in shown:
            vm.shown_at = now
        foreign = (self.foreign,) if self.foreign is not None else ()
        return Listing(self.name, self._time.now(), (*(self._picture(vm) for vm in shown), *foreign))

    @property
    def batch(self) -> int:
        """The most VMs that one call makes."""
        return self.profile.batch

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        if len(requests) > 1 and self.batch > 1:
            return self._launch_together(requests)
        return [self._launch(request) for request in requests]

    def terminate(self, instance_id: str) -> None:
        if not instance_id:
            self._watcher.broken(f"a VM at {self.name} was to be ended, and nobody said which")
        if self.foreign is not None and instance_id == self.foreign.id:
            self._watcher.broken(f"a stranger's VM at {self.name} was ended")
            return
        what = self._fate_of_call("terminate", self.lost)
        if what not in ("good", "lost-after"):
            self.failures += 1
            raise ERRORS[what]()
        vm = self.vms.get(instance_id)
        if vm is not None and vm.request.cluster != self.cluster:
            raise NotFound(f"{instance_id} is none of this cluster's")
        if vm is not None and vm.state not in (InstanceState.STOPPING, InstanceState.GONE):
            self._watcher.terminating(vm)
            self.end(vm)
        if what == "lost-after":
            raise OutcomeUnknown("no answer")

    def flavors(self) -> list[Flavor]:
        self._meets("flavors", self.lost)
        return [Flavor(name, size) for name, size in self.sizes.items()]

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        self._meets("prices", self.lost)
        return {offer.key: self.tells_prices[offer.key] for offer in offers if offer.key in self.tells_prices}

    def credentials_until(self) -> datetime | None:
        return None

    def console(self, instance_id: str) -> str:
        raise InvalidRequest(f"{self.name} shows no consoles")

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        found = [Finding("credentials", Soundness.GOOD, "they are taken")]
        for offer in offers if self.sizes else ():
            if offer.flavor in self.sizes:
                found.append(Finding(f"flavor {offer.flavor}", Soundness.GOOD, "is there"))
            else:
                cure = f"name one of these: {', '.join(sorted(self.sizes))}"
                found.append(Finding(f"flavor {offer.flavor}", Soundness.BAD, "is not there", cure))
        return found

    # --- the machine ---

    def end(self, vm: SimVM) -> None:
        """Begin to end a VM: its plug is pulled now, the provider calls it gone later."""
        self._set(vm, InstanceState.STOPPING)
        vm.ended_at = self._time.passed
        self._watcher.ended(vm)
        self._time.after(self.profile.ending.draw(self._chance), lambda: self._gone(vm))

    def lose(self, vm: SimVM, *, listed: bool = True) -> None:
        """A VM is gone by itself: interrupted, or its host is lost. *listed*: the provider goes on to show it."""
        if vm.gone_at is not None:
            return
        if vm.ended_at is None:
            vm.ended_at = self._time.passed
            self._set(vm, InstanceState.GONE)
            self._watcher.ended(vm)
        self._gone(vm)
        if not listed:
            self._forget(vm)

    def spoil(self, vm: SimVM, state: InstanceState) -> None:
        """A VM does not run any more, and stays: in error, or stopped. It costs on."""
        if vm.alive:
            self._set(vm, state)
            self._watcher.ended(vm)

    def _gone(self, vm: SimVM) -> None:
        if vm.gone_at is not None:
            return
        vm.gone_at = self._time.passed
        self._set(vm, InstanceState.GONE)
        self._watcher.moved(vm)
        self._time.after(self.profile.gone_shown, lambda: self._forget(vm))

    def _forget(self, vm: SimVM) -> None:
        self.vms.pop(vm.id, None)
        self._pictures.pop(vm.id, None)
        if self._by_key.get(vm.key) is vm:
            del self._by_key[vm.key]

    def _launch(self, request: LaunchRequest) -> LaunchOutcome:
        key = request.launch_key
        self._watcher.launching(self, request)
        known = self._by_key.get(key)
        if known is not None and known.gone_at is None:
            if known.request != request:
                self._watcher.broken(f"launch key {key} came with other bytes")
            return LaunchOutcome(key, self._picture(known))
        what = self._fate_of_launch()
        if what in ("good", "lost-after", "late", "liar") and (refused := self._refusal(request)):
            what = refused
        self.failures += what != "good"
        if what == "no-capacity":
            self._watcher.refused(request.offer.key)
        if what in ("late", "liar"):
            self._time.after(LATEST * self._chance.random(), lambda: self._make_late(request))
        vm = self._make(request) if what in ("good", "lost-after") else None
        if vm is None or what != "good":
            return LaunchOutcome(key, error=ERRORS[what]())
        return LaunchOutcome(key, self._picture(vm))

    def _launch_together(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """One call for several: one answer, which may be lost whole, and one effect. Asked again it is the same."""
        keys = tuple(one.launch_key for one in requests)
        if len(keys) > self.batch or any(one.batch != keys for one in requests):
            self._watcher.broken(f"{len(keys)} launches at {self.name} are no call that was committed: {keys}")
        for one in requests:
            self._watcher.launching(self, one)
        known = [self._by_key.get(key) for key in keys]
        if any(known):
            for vm, one in zip(known, requests, strict=True):
                if vm is not None and vm.request != one:
                    self._watcher.broken(f"launch key {vm.key} came with other bytes")
            return self._answers(requests)
        what = self._fate_of_launch()
        if what in ("good", "lost-after", "late", "liar") and (refused := self._refusal(requests[0], len(requests))):
            what = refused
        self.failures += what != "good"
        if what == "no-capacity":
            self._watcher.refused(requests[0].offer.key)
        if what in ("late", "liar"):
            for one in requests:
                self._time.after(LATEST, partial(self._make_late, one))
        if what in ("good", "lost-after"):
            for one in requests:
                if not self._refusal(one):
                    self._make(one)
        if what != "good":
            return [LaunchOutcome(key, error=ERRORS[what]()) for key in keys]
        return self._answers(requests)

    def _answers(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        made = {one.launch_key: self._by_key.get(one.launch_key) for one in requests}
        return [
            LaunchOutcome(key, self._picture(vm))
            if vm is not None
            else LaunchOutcome(key, error=ERRORS["no-capacity"]())
            for key, vm in made.items()
        ]

    def _make_late(self, request: LaunchRequest) -> None:
        if request.launch_key not in self._by_key:
            self._make(request, late=True)

    def _make(self, request: LaunchRequest, *, late: bool = False) -> SimVM:
        profile, chance, now = self.profile, self._chance, self._time.passed
        self.made += 1
        fate = pick(profile.fates, chance) if self.faults else "good"
        self.failures += fate != "good"
        vm = SimVM(
            id=f"{self.name}-{next(self._serials)}",
            site=self.name,
            request=request,
            address=request.address or f"192.0.2.{self.made}",
            fate=fate,
            made_at=now,
            price_per_hour=self._prices.get(request.offer.key, 0.0),
            listed_from=now + (min(profile.lag.draw(chance), HIDDEN) if self.faults else 0.0),
        )
        vm.hidden_until, vm.late = vm.listed_from, late
        self.vms[vm.id] = vm
        self._by_key[vm.key] = vm
        self._watcher.made(vm)
        self._time.after(profile.provision.draw(chance), lambda: self._runs(vm))
        if fate == "vanishes":
            listed = chance.random() < 0.5
            self._time.after(chance.uniform(1, 600), lambda: self.lose(vm, listed=listed))
        if fate == "stops":
            self._time.after(chance.uniform(30, 600), lambda: self.spoil(vm, InstanceState.STOPPED))
        if request.offer.market is Market.SPOT and profile.interruptions_per_hour > 0:
            self._time.after(chance.expovariate(profile.interruptions_per_hour / 3600), lambda: self.lose(vm))
        return vm

    def _runs(self, vm: SimVM) -> None:
        if vm.state is not InstanceState.PENDING:
            return
        self._set(vm, InstanceState.ERROR if vm.fate == "error" else InstanceState.RUNNING)
        self._watcher.moved(vm)

    def _set(self, vm: SimVM, state: InstanceState) -> None:
        vm.state = state
        self._pictures.pop(vm.id, None)

    def _picture(self, vm: SimVM) -> Instance:
        found = self._pictures.get(vm.id)
        if found is None:
            found = self._pictures[vm.id] = vm.picture(self._time.moment(vm.made_at))
        return found
