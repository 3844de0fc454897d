"""From the names in the configuration to the site's templates, images and networks.

A name at OpenNebula is its owner's: everybody may give an object any name and let everybody use it. So a plain name is
one of ours or of oneadmin's, others are written ``owner/name``, a number is an id, and what means two is refused.

The lists are read once and shared for a while; what is not in them is looked for in new ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Generic, TypeVar

from clues.errors import InvalidRequest
from connectors.common.failures import shown
from connectors.opennebula.driver import OpenNebulaNodeDriver
from connectors.opennebula.records import Image, Item, Network, Template

I = TypeVar("I", bound=Item)  # noqa: E741

#: How long a list is believed.
_FRESH = 60.0


@dataclass(frozen=True, slots=True)
class _Listed(Generic[I]):
    at: float
    items: tuple[I, ...]


class Shelf(Generic[I]):
    """The objects of one kind that we may use."""

    def __init__(self, kind: str, read: Callable[[OpenNebulaNodeDriver], list[I]]) -> None:
        self.kind, self._read = kind, read
        self._lock = threading.Lock()
        self._listed: _Listed[I] | None = None

    def all(self, driver: OpenNebulaNodeDriver, *, fresh: bool = False) -> Sequence[I]:
        """Return all, from a list that is not too old; *fresh*: from a new one."""
        listed = self._listed
        if fresh or listed is None or time.monotonic() - listed.at > _FRESH:
            at = time.monotonic()
            listed = _Listed(at, tuple(self._read(driver)))
            with self._lock:
                self._listed = listed
        return listed.items

    def forget(self) -> None:
        """Read it anew the next time: something that is in it turned out not to be there."""
        with self._lock:
            self._listed = None

    def find(self, driver: OpenNebulaNodeDriver, name: str) -> I:
        """Return what a name means.

        :raises InvalidRequest: nothing, or several things; the text says what to write instead.
        """
        try:
            return choose(self.kind, self.all(driver), name, driver.key)
        except InvalidRequest:
            return choose(self.kind, self.all(driver, fresh=True), name, driver.key)


class Catalogue:
    """All that VMs are made from."""

    def __init__(self) -> None:
        self.templates: Shelf[Template] = Shelf("template", lambda driver: driver.ex_list_templates())
        self.images: Shelf[Image] = Shelf("image", lambda driver: driver.ex_list_images())
        self.networks: Shelf[Network] = Shelf("network", lambda driver: driver.ex_list_networks())

    def network(
        self, driver: OpenNebulaNodeDriver, name: str, wanted: IPv4Network | IPv6Network | None
    ) -> Network | None:
        """Return the network of the VMs: the one that is named, or else the one of the range; None: neither is given.

        :raises InvalidRequest: there is none, or there are several.
        """
        if name:
            return self.networks.find(driver, name)
        if wanted is None:
            return None
        try:
            return covering(self.networks.all(driver), wanted)
        except InvalidRequest:
            return covering(self.networks.all(driver, fresh=True), wanted)

    def forget(self) -> None:
        """Read everything anew the next time."""
        for shelf in (self.templates, self.images, self.networks):
            shelf.forget()


def covering(networks: Sequence[Network], wanted: IPv4Network | IPv6Network) -> Network:
    """Return the one network whose addresses are of the range *wanted*.

    :raises InvalidRequest: none has such, or several have.
    """
    found = [one for one in networks if one.ranges and all(ip_address(first) in wanted for first, _ in one.ranges)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidRequest(f"no network that we may use has addresses of {wanted}, the site's `network`")
    ids = ", ".join(f"{one.id} ({one.owner}/{one.name})" for one in found)
    raise InvalidRequest(shown(f"several networks have addresses of {wanted}: write as `vnet` one of the ids {ids}"))


def choose(kind: str, items: Sequence[I], name: str, me: str) -> I:
    """Return the one of *items* that *name* means to the user *me*.

    :raises InvalidRequest: none, or several.
    """
    if name.isdecimal():
        found = [one for one in items if one.id == int(name)]
    elif "/" in name:
        owner, _, plain = name.partition("/")
        found = [one for one in items if (one.owner, one.name) == (owner, plain)]
    else:
        named = [one for one in items if one.name == name]
        found = [one for one in named if one.uid == 0 or one.owner == me]
        if not found and named:
            others = ", ".join(sorted(f"{one.owner}/{one.name}" for one in named))
            raise InvalidRequest(shown(f"{kind} {name} is neither ours nor oneadmin's: if it is meant, write {others}"))
    if not found:
        raise InvalidRequest(shown(f"there is no {kind} {name} that we may use"))
    if len(found) > 1:
        ids = ", ".join(f"{one.id} ({one.owner}'s)" for one in found)
        raise InvalidRequest(shown(f"{kind} {name} means several: write owner/name, or one of the ids {ids}"))
    return found[0]


def name_of(item: Item, me: str) -> str:
    """Return how an object is written in the configuration."""
    return item.name if item.uid == 0 or item.owner == me else f"{item.owner}/{item.name}"
