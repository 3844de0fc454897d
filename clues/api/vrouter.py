"""The private network as answers for people: central points, tunnels, shortcuts, and what a sysadmin has to see to.

A tunnel is *down* only when a central point that is up lacks it. When no central point tells of its tunnels, theirs
are *unknown*: they may well be carrying traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from clues.api import wire, wire_vrouter
from clues.api.lens import Lens, utc
from clues.model import Attach, CaStatus, Claim, ClaimState, HubStatus, Kind, OverlayStatus, Tunnel

#: A CRL lives a week and is renewed each day; with this little left, the signer has been away for days.
_CRL_SHORT = timedelta(days=3)
#: A certificate is renewed before two thirds of its thirty days.
_CERTIFICATE_SHORT = timedelta(days=7)

NO_ENDS: Mapping[str, datetime] = MappingProxyType({})

_ENDING = frozenset({ClaimState.FAILED, ClaimState.STOPPING})
_WORDS = {ClaimState.PLANNED: "wanted"}


def status(lens: Lens, ends: Mapping[str, datetime] = NO_ENDS) -> wire_vrouter.VrouterStatus:
    """Return the private network in one screen.

    :param ends: when members' certificates end, by launch key, as far as the signer tells.
    """
    seen, told = lens.published.world.overlay, _told(lens)
    names = {claim.key: claim.node for claim in lens.claims}
    return wire_vrouter.VrouterStatus(
        age_seconds=lens.age(seen.taken_at),
        error=seen.error,
        sites=tuple(site for site, one in lens.published.settings.sites.items() if one.attach is not Attach.LOCAL),
        hubs=tuple(_hub(lens, hub, told) for hub in told.hubs) if told else _stale_hubs(lens),
        tunnels=tuple(tunnels(lens, ends)),
        shortcuts=tuple(
            wire_vrouter.ShortcutView(
                nodes=tuple(names.get(key, key) for key in one.claims),
                claims=one.claims,
                state="up" if one.up else "down",
                age_seconds=lens.age(one.since),
                received=one.received,
                sent=one.sent,
            )
            for one in (told.shortcuts if told else ())
        ),
        strangers=strangers(lens),
        troubles=troubles(lens, ends),
        tick=lens.published.ticks,
    )


def tunnels(lens: Lens, ends: Mapping[str, datetime] = NO_ENDS) -> list[wire_vrouter.TunnelView]:
    """Return every live claim that has a tunnel or shall get one, routers first, then tunnels of nobody known."""
    told = _told(lens)
    have = dict(told.tunnels) if told else {}
    members = [claim for claim in lens.claims if claim.kind is Kind.ROUTER or claim.tunnel]
    members.sort(key=lambda one: (one.kind is not Kind.ROUTER, one.offer.site, one.node, one.generation))
    rows = [_tunnel(lens, claim, have.pop(claim.key, None), told, ends) for claim in members]
    return rows + [_stray(lens, tunnel) for tunnel in have.values()]


def links(lens: Lens) -> tuple[wire.LinkView, ...]:
    """Return one line for each site that tunnels join and that has a VM."""
    rows = tunnels(lens)
    found = []
    for name, site in lens.published.settings.sites.items():
        here = [row for row in rows if row.site == name and row.claim]
        if site.attach is not Attach.LOCAL and here:
            found.append(_link(lens, name, site.attach, here))
    return tuple(found)


def troubles(lens: Lens, ends: Mapping[str, datetime] = NO_ENDS) -> tuple[str, ...]:
    """Return what keeps the private network from its work, or soon will, in words that say what to do."""
    needed = any(claim.tunnel or claim.kind is Kind.ROUTER for claim in lens.claims)
    seen, told = lens.published.world.overlay, _told(lens)
    if told is None:
        why = seen.error or "clues-broker has not told of them lately"
        return (f"nothing is known of the tunnels ({why}): systemctl status clues-broker",) if needed else ()
    found = [one for hub in told.hubs for one in _hub_troubles(lens, hub)]
    for claim in lens.claims:
        left = _left(lens, ends.get(claim.key))
        if left is not None and left < _CERTIFICATE_SHORT and claim.state not in _ENDING:
            found.append(f"the certificate of {claim.node} {_ends(left)} and was not renewed: is clues-enrol running?")
    return (*found, *(_stranger(one) for one in strangers(lens)))


def strangers(lens: Lens) -> tuple[str, ...]:
    """Return hosts that routers see in their networks and that are no VM of ours.

    A router learns of a new VM a moment after it has seen it; what has since turned out to be ours is left out.
    """
    told = _told(lens)
    ours = {(claim.offer.site, claim.address): claim.mac for claim in lens.claims if claim.address}

    def known(one: str) -> bool:
        site, _, rest = one.partition(": ")
        address, _, hardware = rest.partition(" ")
        mac = ours.get((site, address))
        return mac is not None and mac in ("", hardware.strip("()"))

    return tuple(one for one in told.strangers if not known(one)) if told else ()


def ca(status: CaStatus, now: datetime) -> wire_vrouter.CaView:
    """Return what the signer tells of the CA."""
    return wire_vrouter.CaView(
        generations=tuple(
            wire_vrouter.CaGenerationView(
                name=one.name,
                state="signs" if one.signs else "trusted",
                since=utc(one.since),
                ends=utc(one.ends),
                left_seconds=_seconds(one.ends - now),
                certificates=one.certificates,
            )
            for one in status.generations
        ),
        crl_ends=utc(status.crl_ends),
        crl_left_seconds=_seconds(status.crl_ends - now if status.crl_ends else None),
        revoked=status.revoked,
        next=status.next,
    )


def find(lens: Lens, name: str) -> Claim | None:
    """Return the live claim that *name* means: a launch key, or a node (``router-SITE`` too), then the youngest whose
    VM may be in the cluster."""
    named = [claim for claim in lens.claims if claim.key == name] or [
        claim for claim in lens.claims if claim.node == name
    ]
    outside = _ENDING | {ClaimState.PLANNED}
    return max(named, key=lambda claim: (claim.state not in outside, claim.generation), default=None)


def _told(lens: Lens) -> OverlayStatus | None:
    return lens.published.world.overlay.fresh(lens.now, lens.published.settings.pace.stale_after)


def _stale_hubs(lens: Lens) -> tuple[wire_vrouter.HubView, ...]:
    """Return the central points of a picture that is too old to believe: their names, and nothing of their tunnels."""
    old = lens.published.world.overlay.value
    return tuple(
        wire_vrouter.HubView(name=hub.name, state="unknown", age_seconds=lens.age(hub.taken_at))
        for hub in (old.hubs if old else ())
    )


def _hub(lens: Lens, hub: HubStatus, told: OverlayStatus) -> wire_vrouter.HubView:
    return wire_vrouter.HubView(
        name=hub.name,
        state="up" if hub.up else "down",
        age_seconds=lens.age(hub.taken_at),
        revision=hub.revision,
        certificate_ends=utc(hub.certificate_ends),
        certificate_left_seconds=_seconds(_left(lens, hub.certificate_ends)),
        crl_ends=utc(hub.crl_ends),
        crl_left_seconds=_seconds(_left(lens, hub.crl_ends)),
        tunnels=sum(tunnel.hub == hub.name for tunnel in told.tunnels.values()),
        trouble=hub.trouble,
    )


def _hub_troubles(lens: Lens, hub: HubStatus) -> Iterable[str]:
    if not hub.up:
        why = f" ({hub.trouble})" if hub.trouble else ""
        yield f"central point {hub.name} is down{why}: systemctl status clues-hub clues-broker"
        return
    if hub.trouble:
        yield f"central point {hub.name}: {hub.trouble}"
        return  # certificates among it
    crl, certificate = _left(lens, hub.crl_ends), _left(lens, hub.certificate_ends)
    if crl is not None and crl < _CRL_SHORT:
        yield (
            f"the revocation list of central point {hub.name} {_ends(crl)}; then it admits nobody: "
            "systemctl status clues-signer"
        )
    if certificate is not None and certificate < _CERTIFICATE_SHORT:
        yield (
            f"the certificate of central point {hub.name} {_ends(certificate)} and was not renewed: "
            "systemctl status clues-signer clues-hub"
        )


def _stranger(one: str) -> str:
    return f"a stranger in a network that has to be the cluster's own: {one}; end it, or set `attach: direct` there"


def _tunnel(
    lens: Lens, claim: Claim, tunnel: Tunnel | None, told: OverlayStatus | None, ends: Mapping[str, datetime]
) -> wire_vrouter.TunnelView:
    names = {other.key: other.node for other in lens.claims}
    pairs = [one.claims for one in (told.shortcuts if told else ()) if one.up and claim.key in one.claims]
    good_until = ends.get(claim.key)
    return wire_vrouter.TunnelView(
        node=claim.node,
        state=_state(claim, tunnel, told),
        site=claim.offer.site,
        kind=claim.kind.value,
        claim=claim.key,
        hub=tunnel.hub if tunnel else "",
        real=tunnel.real if tunnel else "",
        address=tunnel.address if tunnel else claim.tunnel,
        age_seconds=lens.age(tunnel.since if tunnel else claim.since),
        received=tunnel.received if tunnel else 0,
        sent=tunnel.sent if tunnel else 0,
        certificate_ends=utc(good_until),
        certificate_left_seconds=_seconds(_left(lens, good_until)),
        shortcuts=tuple(names.get(key, key) for pair in pairs for key in pair if key != claim.key),
        workers=_workers(lens, claim.offer.site) if claim.kind is Kind.ROUTER else 0,
        reason=claim.reason,
    )


def _state(claim: Claim, tunnel: Tunnel | None, told: OverlayStatus | None) -> str:
    if claim.state is not ClaimState.READY:
        return _WORDS.get(claim.state, claim.state.value)
    if told is None or not told.known:
        return "unknown"
    if tunnel is None:
        return "down"
    # The last word of a central point that is silent now stands, and may not be so any more.
    return "up" if any(hub.up and hub.name == tunnel.hub for hub in told.hubs) else "unknown"


def _stray(lens: Lens, tunnel: Tunnel) -> wire_vrouter.TunnelView:
    return wire_vrouter.TunnelView(
        node=tunnel.claim,
        state="leaving",
        hub=tunnel.hub,
        real=tunnel.real,
        address=tunnel.address,
        age_seconds=lens.age(tunnel.since),
        received=tunnel.received,
        sent=tunnel.sent,
    )


#: The state of a site is that of the tunnel that needs somebody's eye the most.
_WORST = {state: rank for rank, state in enumerate(("down", "unknown", "failed", "joining", "booting", "launching"))}


def _link(lens: Lens, site: str, attach: Attach, rows: list[wire_vrouter.TunnelView]) -> wire.LinkView:
    up = [row for row in rows if row.hub]
    if attach is Attach.ROUTER:  # of two, one is being replaced by the other
        shown = min(rows, key=lambda row: (row.state != "up", row.state in ("failed", "stopping")))
    else:
        shown = min(rows, key=lambda row: _WORST.get(row.state, len(_WORST)))
    return wire.LinkView(
        site=site,
        attach=attach.value,
        state=shown.state,
        age_seconds=shown.age_seconds,
        workers=_workers(lens, site),
        tunnels=len(rows),
        tunnels_up=len(up),
        received=sum(row.received for row in rows),
        sent=sum(row.sent for row in rows),
        reason=shown.reason if shown.state != "up" else "",
    )


def _workers(lens: Lens, site: str) -> int:
    return sum(
        claim.kind is Kind.WORKER and claim.offer.site == site and claim.state not in _ENDING for claim in lens.claims
    )


def _left(lens: Lens, moment: datetime | None) -> timedelta | None:
    return None if moment is None else moment - lens.now


def _seconds(left: timedelta | None) -> float | None:
    return None if left is None else round(left.total_seconds(), 1)


def _ends(left: timedelta) -> str:
    if left <= timedelta(0):
        return "has ended"
    hours = left.total_seconds() / 3600
    return f"ends in {hours / 24:.0f} days" if hours > 48 else f"ends in {hours:.0f} hours"
