"""The private network: central points, tunnels, certificates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, Metric

from clues.api.lens import Lens
from clues.metrics.picture.gauges import gauge, single
from clues.model import HubStatus, Kind

#: What of a central point ends: in the metric's name, in words, and when.
_ENDS: tuple[tuple[str, str, Callable[[HubStatus], datetime | None]], ...] = (
    ("certificate", "certificate", lambda hub: hub.certificate_ends),
    ("crl", "revocation list", lambda hub: hub.crl_ends),
)


def families(lens: Lens) -> Iterator[Metric]:
    """Go through the families of the overlay; none where it has no central point."""
    status = lens.published.world.overlay.value
    if status is None:
        return
    site_of = {claim.key: claim.offer.site for claim in lens.claims}
    tunnels: Counter[tuple[str, str]] = Counter()
    traffic: Counter[tuple[str, str]] = Counter()
    for tunnel in status.tunnels.values():
        site = site_of.get(tunnel.claim, "")
        tunnels[tunnel.hub, site] += 1
        traffic[site, "received"] += tunnel.received
        traffic[site, "sent"] += tunnel.sent
    yield gauge(
        "clues_hub_up", "Whether a central point runs.", ("hub",), (((hub.name,), hub.up) for hub in status.hubs)
    )
    yield gauge("clues_tunnels", "Tunnels by central point and site.", ("hub", "site"), tunnels.items())
    missing = Counter(
        claim.offer.site
        for claim in lens.claims
        if (claim.tunnel or claim.kind is Kind.ROUTER) and claim.enrolled_at and claim.key not in status.tunnels
    )
    yield gauge(
        "clues_tunnels_missing",
        "VMs that have enrolled and whose tunnel is down, by site.",
        ("site",),
        (((site,), missing[site]) for site in lens.published.settings.sites),
    )
    family = CounterMetricFamily(
        "clues_tunnel_bytes",
        "Bytes through a site's tunnels as its central points count them; a tunnel that begins anew begins at 0.",
        labels=("site", "direction"),
    )
    for labels, amount in traffic.items():
        family.add_metric(labels, amount)
    yield family
    yield gauge(
        "clues_shortcuts",
        "Tunnels between two routers by whether they are up.",
        ("state",),
        Counter(("up" if one.up else "down",) for one in status.shortcuts).items(),
    )
    for what, words, when in _ENDS:
        yield gauge(
            f"clues_hub_{what}_expiry_timestamp_seconds",
            f"When the {words} of a central point ends, in Unix time.",
            ("hub",),
            (((hub.name,), end.timestamp()) for hub in status.hubs if (end := when(hub)) is not None),
        )
    yield single(
        "clues_network_strangers", "Hosts in the cluster's networks that are no VM of ours.", len(status.strangers)
    )
