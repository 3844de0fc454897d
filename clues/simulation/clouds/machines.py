"""The VMs' own doings: they boot, enrol with their ticket, start slurmd, and a router its tunnel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from clues.errors import AuthFailed, LedgerError, Transient
from clues.model import Facts, Resources
from clues.simulation.clouds.cloud import SimCloud
from clues.simulation.clouds.vms import SimVM
from clues.simulation.daemon import SimDaemon
from clues.simulation.overlay import SimOverlay
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.timeline import Timeline

#: A VM that was not heard tries again after so long, in seconds; what a slow boot takes longer; when a VM gives up.
RETRY, SLOW, GIVES_UP = 5.0, 600.0, 3600.0


class Machines:
    """Lives of VMs, from their making on."""

    def __init__(
        self,
        time: Timeline,
        chance: Random,
        slurm: SimSlurm,
        clouds: Mapping[str, SimCloud],
        overlay: SimOverlay,
        daemon: Callable[[], SimDaemon],
        tell: Callable[[str], None],
    ) -> None:
        self._time, self._chance, self._slurm, self._clouds = time, chance, slurm, clouds
        self._overlay, self._daemon, self._tell = overlay, daemon, tell
        #: called when a router's tunnel has come up
        self.tunnel_is_up: Callable[[str], None] = tell

    def boot(self, vm: SimVM) -> None:
        """Have a VM boot, unless its fate is otherwise."""
        if vm.fate in ("never-boots", "error"):
            return
        profile = self._clouds[vm.site].profile
        takes = profile.boot.draw(self._chance) + (SLOW if vm.fate == "slow" else 0.0)
        self._time.after(takes, lambda: self._enrol(vm))

    def _enrol(self, vm: SimVM) -> None:
        if not vm.alive or self._time.passed - vm.made_at > GIVES_UP:
            return
        daemon = self._daemon()
        if not daemon.up or not (vm.is_router or self._overlay.leads_to(vm.site)):
            self._time.after(RETRY, lambda: self._enrol(vm))
            return
        address = "198.51.100.9" if vm.is_router else vm.address
        try:
            daemon.call(
                lambda: self._redeem(daemon, vm, address)  # a VM's key is its own, and stays the same
            )
        except (Transient, LedgerError):
            self._time.after(RETRY, lambda: self._enrol(vm))
            return
        except AuthFailed as error:
            self._tell(f"{vm.id}: its enrolment was refused: {error}")
            return
        vm.enrolled_at = self._time.passed
        joins = self._clouds[vm.site].profile.join.draw(self._chance)
        self._time.after(joins, lambda: self._tunnel(vm) if vm.is_router else self._register(vm))

    def _redeem(self, daemon: SimDaemon, vm: SimVM, address: str) -> None:
        size = vm.request.shape
        bad = vm.fate == "wrong-facts" and not vm.is_router
        facts = Facts(size.cpus // (2 if bad else 1), size.memory_mib, Resources(gpus=size.gpus))
        with daemon.observer.unhurried(daemon.naps is not None):  # what follows comes with its slurmd, or its tunnel
            daemon.counter.redeem(vm.key, f"key of {vm.id}", "", address, facts)

    def _tunnel(self, vm: SimVM) -> None:
        if not vm.alive:
            return
        vm.tunnel_at = self._time.passed
        vm.mute = vm.mute or vm.fate == "wrong-facts"
        self._tell(f"{vm.id}: its tunnel is up" if not vm.mute else f"{vm.id}: its tunnel does not come up")
        self.tunnel_is_up(vm.site)

    def _register(self, vm: SimVM) -> None:
        if not vm.alive:
            return
        if self._slurm.register(vm.node, vm.id):
            vm.registered_at = self._time.passed
            return
        self._time.after(2 * RETRY, lambda: self._register(vm))
