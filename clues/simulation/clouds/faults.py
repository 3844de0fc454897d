"""What goes wrong at a simulated provider: calls that fail before or after their effect, and no room for more VMs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from random import Random

from clues.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NoCapacity,
    OutcomeUnknown,
    QuotaExceeded,
    Throttled,
    Transient,
)
from clues.model import LaunchRequest, Limits, Quota, Resources
from clues.simulation.clouds.vms import SimVM
from clues.simulation.worlds.profiles import CloudProfile, pick

ERRORS: Mapping[str, Callable[[], CloudError]] = {
    "no-capacity": lambda: NoCapacity("no valid host was found"),
    "quota": lambda: QuotaExceeded("instances: 8 of 8"),
    "throttled": lambda: Throttled("too many requests", retry_after=timedelta(seconds=20)),
    "auth": lambda: AuthFailed("401 Unauthorized"),
    "invalid": lambda: InvalidRequest("no such image"),
    "transient": lambda: Transient("connection refused"),
    "lost-before": lambda: OutcomeUnknown("time-out"),
    "lost-after": lambda: OutcomeUnknown("time-out"),
    "late": lambda: OutcomeUnknown("502 Bad Gateway"),
    "liar": lambda: NoCapacity("no valid host was found"),
}

#: An effect that comes after its refusal comes this late, at most; a VM is hidden from listings no longer than this.
LATEST, HIDDEN = 60.0, 25.0
#: ... and is then shown for so long at least: a VM that is never shown is gone by anybody's reckoning.
SHOWN = 60.0


class Faults:
    """What a ``SimCloud`` meets: by chance, by its profile, or because a test says so."""

    def __init__(self, profile: CloudProfile, chance: Random) -> None:
        self.profile, self._chance = profile, chance
        #: VMs that are still listed, by id
        self.vms: dict[str, SimVM] = {}
        #: things that went wrong by our doing, to be reckoned with when launches are counted
        self.failures = 0
        #: faults of the profile are on; nobody answers; listings are refused; there is no room for (some) flavors
        self.faults = True
        self.lost = self.unlisted = False
        self.full: set[str] = set()
        self.capacity = dict(profile.capacity)
        #: what the provider allows, should that be less than the configuration says
        self.quota_limits = Limits()
        #: by flavor, what a VM of it has
        self.sizes: dict[str, Resources] = {}
        #: what the next call of a kind (list, launch, terminate, quota) meets; then it is chance again
        self.next: dict[str, str] = {}

    def living(self) -> Iterable[SimVM]:
        """All VMs that the provider does not call gone yet."""
        return (vm for vm in self.vms.values() if vm.gone_at is None)

    def quota(self) -> Quota | None:
        self._meets("quota", self.lost)
        if self.quota_limits == Limits():
            return None
        used = Resources()
        living = list(self.living())
        for vm in living:
            used = used.plus(self._size(vm.request))
        return Quota(self.quota_limits, used, len(living))

    def _hide_one(self, shown: list[SimVM], now: float) -> None:
        """Take a VM that lives out of a listing, by chance."""
        if self.faults and shown and self._chance.random() < self.profile.forgetful:
            hidden = self._chance.choice(shown)
            if now - hidden.hidden_until > SHOWN and hidden.shown_at > hidden.hidden_until:
                hidden.hidden_until = now + HIDDEN * self._chance.random()
                shown.remove(hidden)

    def _meets(self, call: str, fails: bool) -> None:
        what = self._fate_of_call(call, fails or self.lost)
        if what != "good":
            self.failures += 1
            raise ERRORS[what]()

    def _fate_of_call(self, call: str, fails: bool) -> str:
        if fails:
            return "transient"
        if call in self.next:
            return self.next.pop(call)
        return pick(self.profile.calls, self._chance) if self.faults else "good"

    def _fate_of_launch(self) -> str:
        what = self.next.pop("launch", "")
        what = what or (pick(self.profile.launches, self._chance) if self.faults else "good")
        return "transient" if self.lost else what

    def _refusal(self, request: LaunchRequest, count: int = 1) -> str:
        """Return why a call for *count* VMs alike is refused: there is no room for one, or no quota for all."""
        flavor = request.offer.flavor
        if self.sizes and flavor not in self.sizes:
            return "invalid"
        room = self.capacity.get(flavor)
        alike = sum(1 for vm in self.living() if vm.request.offer.flavor == flavor) if room is not None else 0
        if flavor in self.full or "*" in self.full or (room is not None and alike >= room):
            return "no-capacity"
        most = self.quota_limits
        if most == Limits():
            return ""
        living = list(self.living())
        size = self._size(request)
        cpus = sum(self._size(vm.request).cpus for vm in living) + count * size.cpus
        gpus = sum(self._size(vm.request).gpu_count for vm in living) + count * size.gpu_count
        over = (
            (most.vms is not None and len(living) + count > most.vms)
            or (most.cpus is not None and cpus > most.cpus)
            or (most.gpus is not None and gpus > most.gpus)
        )
        return "quota" if over else ""

    def _size(self, request: LaunchRequest) -> Resources:
        return self.sizes.get(request.offer.flavor, request.shape)
