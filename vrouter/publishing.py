"""From committed claims to the inventory: who is a member, and the file that says so.

The file is written when something in it changes, and only then. Its revision grows also when the old file is lost or
damaged: it then begins at the seconds of the clock, above which no count of changes has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from clues import inventory
from clues.inventory import Inventory, Member
from clues.model import Claim, ClaimState, Settings
from clues.ports import Lost, nothing_lost
from vrouter import addressing
from vrouter.addressing import Network

#: Nobody is a member whose VM is not asked for yet, is being ended, or did not keep to the rules.
_STRANGERS = frozenset({ClaimState.PLANNED, ClaimState.FAILED, ClaimState.STOPPING, ClaimState.GONE})

#: of the tunnels that routers make to each other, where the configuration names no port
SHORTCUT_PORT = 1195

Pairs = Callable[[tuple[Member, ...]], Iterable[tuple[str, str]]]


class Publisher:
    """Writes the inventory of one cluster. Used by one thread."""

    def __init__(
        self,
        path: Path,
        cluster: str,
        settings: Settings,
        *,
        network: str = "",
        transit: str = "",
        routes: tuple[str, ...] = (),
        pairs: Pairs = lambda _: (),
    ) -> None:
        """:param pairs: tells which members shall have a shortcut."""
        self._path, self._cluster, self._pairs = path, cluster, pairs
        self._network, self._transit, self._routes = network, transit, routes
        self._ranges = addressing.ranges_of(settings)
        self._endpoints = endpoints(settings)
        self._seen: dict[str, tuple[Claim, Member]] = {}
        self._written: Inventory | None = None
        self._stamp: tuple[int, int, int] | None = None

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> Inventory:
        """Write the inventory if it differs from what is written, and return it.

        :param lost: members that are written down, have no claim, and of whom this says so stand as they are: who is
            no member any more has his certificate revoked for good, and a ledger may have been lost or rolled back.
        :raises OSError: it cannot be written; the old one stands.
        """
        old = self._read()
        every = list(claims)
        members = tuple(self._member(claim) for claim in every if claim.state not in _STRANGERS)
        self._seen = {member.key: self._seen[member.key] for member in members}
        known = {claim.key for claim in every}
        written = old.members if old is not None and old.cluster == self._cluster else ()
        members += tuple(one for one in written if one.key not in known and lost(one.key, one.site))
        new = Inventory(
            cluster=self._cluster,
            revision=int(now.timestamp()) if old is None else old.revision,
            written_at=now if old is None else old.written_at,
            network=self._network,
            transit=self._transit,
            members=members,
            shortcuts=tuple(self._pairs(members)),
            routes=self._routes,
        )
        if new == old:
            return new
        new = replace(new, revision=new.revision + 1, written_at=now)
        inventory.write(self._path, new)
        self._written, self._stamp = new, _stamp(self._path)
        return new

    def _read(self) -> Inventory | None:
        """Return what is written; None where that cannot be read."""
        stamp = _stamp(self._path)
        if stamp is None:
            return None
        if stamp != self._stamp:
            try:
                self._written = Inventory.from_json(self._path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                self._written = None
            self._stamp = stamp
        return self._written

    def _member(self, claim: Claim) -> Member:
        known = self._seen.get(claim.key)
        if known is not None and known[0] is claim:
            return known[1]
        member = member_of(claim, self._ranges, self._endpoints)
        self._seen[claim.key] = (claim, member)
        return member


def member_of(claim: Claim, ranges: dict[str, Network], reached: dict[str, str]) -> Member:
    """Return a claim as a member.

    :param ranges: of the sites that have one.
    :param reached: where the routers of sites are reached from outside.
    """
    subnets = addressing.subnets(claim, ranges)
    return Member(
        key=claim.key,
        kind=claim.kind,
        site=claim.offer.site,
        node=claim.node,
        state=claim.state,
        address=claim.address,
        mac=claim.mac,
        tunnel=claim.tunnel,
        subnets=subnets,
        identity=claim.identity,
        fingerprint=claim.fingerprint,
        endpoint=reached.get(claim.offer.site, "") if subnets else "",
        created_at=claim.created_at.isoformat(),
    )


def endpoints(settings: Settings) -> dict[str, str]:
    """Return where the routers of sites are reached from outside, as ``address:port``."""
    found = {}
    for name, site in settings.sites.items():
        if site.router is not None and site.router.public:
            host, _, port = site.router.public.rpartition(":")
            found[name] = site.router.public if host and port.isdecimal() else f"{site.router.public}:{SHORTCUT_PORT}"
    return found


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
