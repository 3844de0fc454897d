"""Users, groups, VM templates, images and networks of the emulated cloud, and how they look as XML."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.lab.opennebula.quotas import Quotas
from tests.lab.opennebula.template import Template

#: Who may do what with an object, as `oneXXX chmod` writes it; 0600 is what oned gives (umask 177).
PRIVATE, OF_GROUP, PUBLIC = 0o600, 0o640, 0o644


@dataclass
class Group:
    """A group, and what it may use."""

    id: int
    name: str
    quotas: Quotas = field(default_factory=Quotas)

    def xml(self) -> str:
        """Return it as ``one.group.info`` tells it."""
        return (
            f"<GROUP><ID>{self.id}</ID><NAME>{escape(self.name)}</NAME><TEMPLATE/><USERS/>{self.quotas.xml()}</GROUP>"
        )


@dataclass
class User:
    """A user; a token is a password that ends."""

    id: int
    name: str
    password: str
    group: Group
    quotas: Quotas = field(default_factory=Quotas)
    enabled: bool = True
    #: tokens, and when they end (Unix time, -1: never)
    tokens: dict[str, int] = field(default_factory=dict)

    def knows(self, secret: str, now: float) -> bool:
        """Return whether this opens the door."""
        ends = self.tokens.get(secret)
        return self.enabled and (secret == self.password or (ends is not None and (ends == -1 or now < ends)))

    def xml(self) -> str:
        """Return it as ``one.user.info`` tells it, tokens in the clear."""
        tokens = "".join(
            f"<LOGIN_TOKEN><TOKEN>{token}</TOKEN><EXPIRATION_TIME>{ends}</EXPIRATION_TIME><EGID>-1</EGID></LOGIN_TOKEN>"
            for token, ends in self.tokens.items()
        )
        return (
            f"<USER><ID>{self.id}</ID><GID>{self.group.id}</GID><GROUPS><ID>{self.group.id}</ID></GROUPS>"
            f"<GNAME>{escape(self.group.name)}</GNAME><NAME>{escape(self.name)}</NAME><PASSWORD>5f4dcc3b5aa7</PASSWORD>"
            f"<AUTH_DRIVER><![CDATA[core]]></AUTH_DRIVER><ENABLED>{int(self.enabled)}</ENABLED>{tokens}"
            f"<TEMPLATE/>{self.quotas.xml()}</USER>"
        )


@dataclass
class Owned:
    """What all objects of a pool have."""

    id: int
    name: str
    owner: User
    mode: int = PUBLIC

    def usable_by(self, user: User) -> bool:
        """Return whether a user may use it (and see it)."""
        if user.group.id == 0 or self.owner is user:
            return True
        return bool(self.mode & 0o004) or (self.owner.group is user.group and bool(self.mode & 0o040))

    def head(self) -> str:
        """Return the XML with which every object begins."""
        bits = [f"{who}_{what}" for who in ("OWNER", "GROUP", "OTHER") for what in ("U", "M", "A")]
        order = [self.mode >> shift & 1 for shift in (8, 7, 6, 5, 4, 3, 2, 1, 0)]
        # chmod's r, w, x are OpenNebula's use, manage, admin
        rights = "".join(f"<{name}>{bit}</{name}>" for name, bit in zip(bits, order, strict=True))
        return (
            f"<ID>{self.id}</ID><UID>{self.owner.id}</UID><GID>{self.owner.group.id}</GID>"
            f"<UNAME>{escape(self.owner.name)}</UNAME><GNAME>{escape(self.owner.group.name)}</GNAME>"
            f"<NAME>{escape(self.name)}</NAME><PERMISSIONS>{rights}</PERMISSIONS>"
        )


@dataclass
class VmTemplate(Owned):
    """What VMs are made from."""

    content: Template = field(default_factory=Template)

    def xml(self) -> str:
        """Return it as ``one.templatepool.info`` tells it."""
        return f"<VMTEMPLATE>{self.head()}<REGTIME>1700000000</REGTIME>{self.content.xml()}</VMTEMPLATE>"


@dataclass
class Image(Owned):
    """A disk to start from; state 1 is READY, 2 USED, 3 DISABLED, 5 ERROR."""

    size_mb: int = 2048
    state: int = 1

    def xml(self) -> str:
        """Return it as ``one.imagepool.info`` tells it."""
        return (
            f"<IMAGE>{self.head()}<TYPE>0</TYPE><DISK_TYPE>0</DISK_TYPE><PERSISTENT>0</PERSISTENT>"
            f"<REGTIME>1700000000</REGTIME><SIZE>{self.size_mb}</SIZE><STATE>{self.state}</STATE>"
            f"<DATASTORE_ID>1</DATASTORE_ID><DATASTORE>default</DATASTORE><TEMPLATE/></IMAGE>"
        )


@dataclass
class Network(Owned):
    """A virtual network with one range of addresses."""

    first: str = "10.77.2.2"
    size: int = 200
    content: Template = field(default_factory=Template)
    #: addresses in use, and by which VM
    leases: dict[str, int] = field(default_factory=dict)

    def lease(self, vm: int, wanted: str = "") -> str | None:
        """Return an address for a VM; None where none (or not the one that is wanted) is free."""
        for address in [wanted] if wanted else self.addresses():
            if address in self.leases or address not in self.addresses():
                continue
            self.leases[address] = vm
            return address
        return None

    def addresses(self) -> list[str]:
        """Return all addresses of the range."""
        first = int(ipaddress.IPv4Address(self.first))
        return [str(ipaddress.IPv4Address(first + offset)) for offset in range(self.size)]

    def xml(self) -> str:
        """Return it as ``one.vnpool.info`` tells it."""
        return (
            f"<VNET>{self.head()}<CLUSTERS><ID>0</ID></CLUSTERS><BRIDGE>onebr{self.id}</BRIDGE><STATE>1</STATE>"
            f"<PARENT_NETWORK_ID/><VN_MAD>bridge</VN_MAD><PHYDEV/><VLAN_ID/><USED_LEASES>{len(self.leases)}</USED_LEASES>"
            f"<VROUTERS/>{self.content.xml()}<AR_POOL><AR><AR_ID>0</AR_ID><IP>{self.first}</IP>"
            f"<MAC>{mac_of(self.first)}</MAC><SIZE>{self.size}</SIZE><TYPE>IP4</TYPE></AR></AR_POOL></VNET>"
        )


def mac_of(address: str) -> str:
    """Return the hardware address that OpenNebula derives from an address."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def pool(tag: str, items: Iterable[str]) -> str:
    """Return the XML of a pool."""
    return f"<{tag}>{''.join(items)}</{tag}>"
