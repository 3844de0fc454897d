"""A hypervisor for clouds that have none: it boots what such a cloud lists, as VMs of the local connector.

nova's fake driver, moto and the emulator of OpenNebula keep a list of VMs and let none of them boot. The booter looks
at that list, whoever's it is, and makes each VM that shall run: namespaces with the address, the user-data and the name
that the cloud has for it. One that the list does not hold any more has its plug pulled. A list that cannot be read
changes nothing.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from clues.model import Resources
from connectors.local import image, machine, network
from tests.lab.frontend import LabError

log = logging.getLogger(__name__)

_POWER_ON, _POWER_OFF = 30.0, 10.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A VM as a cloud lists it."""

    #: the cloud's own, never used twice
    id: str
    name: str
    address: IPv4Address
    resources: Resources
    user_data: str = field(repr=False)
    #: False: it exists, and is switched off
    runs: bool = True


#: Returns every VM that exists (has an address, and is neither being made nor being deleted).
#: Raises LabError or OSError where the cloud does not answer.
Source = Callable[[], Sequence[Listed]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the VMs stand on: the same for all."""

    #: the front-end's bridge, and the address with its prefix length that it has
    bridge: str = "clues0"
    gateway: IPv4Interface = field(default_factory=lambda: IPv4Interface("10.77.0.1/16"))
    #: folders of the front-end that VMs see at the same paths
    shared: tuple[Path, ...] = ()
    boot_seconds: float = 0.0
    #: a network namespace that has a name; empty: the caller's
    namespace: str = ""


class Booter:
    """Boots and ends VMs in *folder* after one source. A context manager: at its end none of them lives."""

    def __init__(
        self, source: Source, folder: Path, ground: Ground, *, most: int | None = None, every: float = 0.5
    ) -> None:
        """
        :param most: only so many at once are booted; the others stay on the cloud's list, and are never heard of.
        :param every: seconds between two looks.
        """
        self._source, self._folder, self._ground, self._most, self._every = source, folder, ground, most, every
        #: VMs that were booted since the start, by their ids
        self.booted: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="booter", daemon=True)
        self._problem: BaseException | None = None

    def __enter__(self) -> Booter:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        network.ensure_bridge(self._ground.bridge, self._ground.gateway, self._ground.namespace)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for folder in self._folders():
            self._end(folder)
        if self._problem is not None:
            raise LabError(f"the booter has failed: {self._problem}") from self._problem

    def living(self) -> list[str]:
        """Return the ids of the VMs whose processes live, whatever any list says."""
        return sorted(folder.name for folder in self._folders() if _lives(folder))

    def pull_the_plug(self, vm: str) -> None:
        """End a VM as a power failure does: the cloud's list knows nothing of it, and it is not booted again."""
        process = machine.process_of(self._folder / vm)
        if process is None:
            raise LabError(f"VM {vm} does not run")
        machine.power_off(process, _POWER_OFF)

    def console(self, vm: str, lines: int = 40) -> str:
        """Return the end of a VM's console."""
        return machine.console_end(self._folder / vm, lines)

    # --- the thread -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            while not self._over.is_set():
                began = time.monotonic()
                self.look()
                self._over.wait(max(0.0, self._every - (time.monotonic() - began)))
        except BaseException as error:  # noqa: BLE001 - it is told by whoever waits for this thread
            self._problem = error

    def look(self) -> None:
        """Compare the list with what runs, once."""
        try:
            listed = {one.id: one for one in self._source()}
        except (LabError, OSError) as error:
            log.warning("the cloud does not tell what shall run: %s", error)
            return
        for folder in self._folders():
            one = listed.get(folder.name)
            if one is None or not one.runs:
                self._end(folder)
        room = len(listed) if self._most is None else self._most - len(self._folders())
        new = [one for one in listed.values() if one.runs and not (self._folder / one.id).exists()]
        starters = [self._begin(one) for one in new[: max(0, room)]]
        for starter in starters:
            starter.wait(_POWER_ON)
            self.booted.add(starter.folder.name)

    def _begin(self, one: Listed) -> machine.Starter:
        if not _ID.fullmatch(one.id):
            raise LabError(f"{one.id!r} cannot be the name of a folder")
        folder, ground = self._folder / one.id, self._ground
        hardware = image.Hardware(
            name=one.name,
            address=one.address,
            gateway=ground.gateway,
            bridge=ground.bridge,
            resources=one.resources,
            boot_seconds=ground.boot_seconds,
            shared=ground.shared,
        )
        image.prepare(folder, hardware, room=machine.room(), now=time.time())
        return machine.power_on(folder, one.user_data, network.namespace_file(ground.namespace))

    def _end(self, folder: Path) -> None:
        if (process := machine.forestall(folder)) is not None:
            machine.power_off(process, _POWER_OFF)
        network.remove_cable(network.cable_name(folder), self._ground.namespace)
        shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))


def _lives(folder: Path) -> bool:
    process = machine.process_of(folder)
    return process is not None and process.lives()
