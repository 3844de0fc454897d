"""Nodes by site, pool and state, and the VMs behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from clues.api.counting import count_nodes
from clues.api.lens import Lens
from clues.metrics.picture.gauges import gauge, single
from clues.planner.maintenance.announcing import upcoming
from clues.planner.maintenance.overstay import jobs_past


def families(lens: Lens) -> Iterator[Metric]:
    """Go through the families of nodes, claims and VMs that are not as they should be."""
    yield gauge(
        "clues_nodes",
        "Nodes of the pools by site (empty: no VM), pool and the state that `clues nodes` shows.",
        ("site", "pool", "state"),
        count_nodes(lens).items(),
    )
    claims = Counter((claim.offer.site, claim.kind.value, claim.state.value) for claim in lens.claims)
    yield gauge(
        "clues_claims",
        "Live claims by site, kind and state of their life cycle.",
        ("site", "kind", "state"),
        claims.items(),
    )
    yield single(
        "clues_leaked_instances",
        "VMs with this cluster's tag that no claim knows and that could not be adopted.",
        len(lens.published.plan.orphans),
    )
    untagged = Counter(claim.offer.site for claim in lens.claims if claim.untagged_since is not None)
    yield gauge(
        "clues_untagged_instances",
        "VMs of ours whose tags are gone, so that they are not ended.",
        ("site",),
        (((site,), untagged[site]) for site in lens.published.settings.sites),
    )
    yield from _maintenance(lens)


def _maintenance(lens: Lens) -> Iterator[Metric]:
    """Go through what is to be empty, and is not: the next maintenance of each site that has one."""
    windows = upcoming(lens.published.world.operator, lens.now)
    yield gauge(
        "clues_maintenance_begin_timestamp_seconds",
        "When the maintenance of a site begins, or began; sites without one are left out.",
        ("site",),
        (((site,), window.begin.timestamp()) for site, window in windows.items()),
    )
    yield gauge(
        "clues_maintenance_end_timestamp_seconds",
        "When it ends.",
        ("site",),
        (((site,), window.end.timestamp()) for site, window in windows.items()),
    )
    yield gauge(
        "clues_maintenance_jobs",
        "Jobs that run at the site of a maintenance and may not have ended when it begins. They are not killed.",
        ("site",),
        (((site,), len(jobs_past(window, lens.claims, lens.jobs))) for site, window in windows.items()),
    )
