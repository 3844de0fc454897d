"""What OpenNebula's XML says of VMs, templates, images, networks and users, as values.

A number that decides something and is none, or missing, makes a record unreadable: half of a VM is not guessed.
"""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.opennebula.xmlrpc import Unreadable, text_element

Vector = Mapping[str, str]
#: A template: attributes in their order, several of which may have one name.
Attributes = tuple[tuple[str, "str | Vector"], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """What all objects of a pool have."""

    id: int
    name: str
    uid: int
    owner: str
    attributes: Attributes

    def text(self, name: str, default: str = "") -> str:
        """Return the last single attribute of a name."""
        found = [value for key, value in self.attributes if key == name and isinstance(value, str)]
        return found[-1] if found else default

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a single attribute as a number; what is none is the default."""
        try:
            return float(self.text(name) or default)
        except ValueError:
            return default

    def vectors(self, name: str) -> list[Vector]:
        """Return the vector attributes of a name."""
        return vectors(self.attributes, name)


@dataclass(frozen=True, slots=True)
class Template(Item):
    """A VM template."""


@dataclass(frozen=True, slots=True)
class Image(Item):
    """An image and its state: 1 is READY, 2 USED."""

    state: int
    size_mb: int


@dataclass(frozen=True, slots=True)
class Network(Item):
    """A virtual network, its addresses as (first, how many), and how many of them are in use."""

    ranges: tuple[tuple[str, int], ...]
    used: int

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return sum(size for _, size in self.ranges)

    def holds(self, address: str) -> bool:
        """Return whether an address is one of its own."""
        wanted = ipaddress.ip_address(address)
        for first, size in self.ranges:
            begin = ipaddress.ip_address(first)
            if begin.version == wanted.version and 0 <= int(wanted) - int(begin) < size:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM; ``user`` is its USER_TEMPLATE, where our own attributes stand beside oned's ERROR and SCHED_MESSAGE."""

    id: int
    name: str
    uid: int
    state: int
    lcm_state: int
    #: Unix time of its creation by the front-end's clock, and of its end; 0: not yet
    started: int
    ended: int
    user: Mapping[str, str]
    nics: tuple[Vector, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Ourselves."""

    id: int
    name: str
    group_id: int
    group: str
    enabled: bool
    #: login tokens and when they end (Unix time, -1: never)
    tokens: tuple[tuple[str, int], ...]

    def ends_of(self, secret: str) -> datetime | None:
        """Return when this secret ends; None where it is no token, or one without an end."""
        ends = dict(self.tokens).get(secret, -1)
        return None if ends < 0 else datetime.fromtimestamp(ends, UTC)

    def __repr__(self) -> str:
        return f"User(id={self.id}, name={self.name!r}, group={self.group!r})"


def vectors(attributes: Attributes, name: str) -> list[Vector]:
    """Return the vector attributes of a name."""
    return [value for key, value in attributes if key == name and not isinstance(value, str)]


def attributes(element: ET.Element | None) -> Attributes:
    """Return the attributes of a template's element."""
    if element is None:
        return ()
    return tuple(
        (child.tag, {one.tag: one.text or "" for one in child} if len(child) else (child.text or ""))
        for child in element
    )


def render(content: Attributes) -> str:
    """Return a template as XML, the form that needs least quoting."""
    parts = []
    for name, value in content:
        if isinstance(value, str):
            parts.append(text_element(name, value))
        else:
            parts.append(f"<{name}>{''.join(text_element(key, text) for key, text in value.items())}</{name}>")
    return f"<TEMPLATE>{''.join(parts)}</TEMPLATE>"


def number(element: ET.Element, path: str, default: int | None = None) -> int:
    """Return a whole number.

    :raises Unreadable: there is none, and no default.
    """
    try:
        return int(element.findtext(path, ""))
    except ValueError:
        if default is not None:
            return default
        raise Unreadable(f"a {element.tag} has no number {path}") from None


def vm(element: ET.Element) -> Vm:
    """Return a VM."""
    content = {child.tag: child.text or "" for child in element.iterfind("USER_TEMPLATE/*") if len(child) == 0}
    return Vm(
        id=number(element, "ID"),
        name=element.findtext("NAME", ""),
        uid=number(element, "UID"),
        state=number(element, "STATE"),
        lcm_state=number(element, "LCM_STATE"),
        started=number(element, "STIME"),
        ended=number(element, "ETIME"),
        user=content,
        nics=tuple({one.tag: one.text or "" for one in nic} for nic in element.iterfind("TEMPLATE/NIC")),
    )


def _item(element: ET.Element) -> dict[str, object]:
    return {
        "id": number(element, "ID"),
        "name": element.findtext("NAME", ""),
        "uid": number(element, "UID"),
        "owner": element.findtext("UNAME", ""),
        "attributes": attributes(element.find("TEMPLATE")),
    }


def template(element: ET.Element) -> Template:
    """Return a VM template."""
    return Template(**_item(element))  # type: ignore[arg-type]


def image(element: ET.Element) -> Image:
    """Return an image."""
    return Image(**_item(element), state=number(element, "STATE", 0), size_mb=number(element, "SIZE", 0))  # type: ignore[arg-type]


def network(element: ET.Element) -> Network:
    """Return a virtual network. Ranges without IPv4 or IPv6 addresses (Ethernet only) are left out."""
    ranges = [
        (address, number(one, "SIZE", 0))
        for one in element.iterfind("AR_POOL/AR")
        if _is_address(address := one.findtext("IP") or one.findtext("IP6") or "")
    ]
    return Network(**_item(element), ranges=tuple(ranges), used=number(element, "USED_LEASES", 0))  # type: ignore[arg-type]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def user(element: ET.Element) -> User:
    """Return a user."""
    return User(
        id=number(element, "ID"),
        name=element.findtext("NAME", ""),
        group_id=number(element, "GID"),
        group=element.findtext("GNAME", ""),
        enabled=element.findtext("ENABLED", "1") != "0",
        tokens=tuple(_tokens(element.iterfind("LOGIN_TOKEN"))),
    )


def _tokens(elements: Iterable[ET.Element]) -> Iterable[tuple[str, int]]:
    return ((one.findtext("TOKEN", ""), number(one, "EXPIRATION_TIME")) for one in elements)
