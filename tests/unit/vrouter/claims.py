"""Claims and settings for the tests of the overlay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from clues.model import Attach, Claim, ClaimState, Kind, Offer, Pace, Resources, RouterPlan, Settings, Site

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REST = timedelta(minutes=2)


def claim(
    key: str,
    *,
    site: str = "upv",
    kind: Kind = Kind.WORKER,
    state: ClaimState = ClaimState.READY,
    ended: timedelta | None = None,
    **more: Any,
) -> Claim:
    """A claim; *ended* is how long ago it ended."""
    return Claim(
        key=key,
        kind=kind,
        node=f"router-{site}" if kind is Kind.ROUTER else key,
        pool="" if kind is Kind.ROUTER else "cpu",
        generation=1,
        offer=Offer(site, "m1", "image"),
        shape=Resources(),
        state=state if ended is None else ClaimState.GONE,
        since=NOW - timedelta(days=1),
        created_at=NOW,
        ended_at=None if ended is None else NOW - ended,
        **more,
    )


def router(key: str, *, site: str = "upv", **more: Any) -> Claim:
    """The claim of a site's router."""
    return claim(key, site=site, kind=Kind.ROUTER, **more)


def site(name: str, attach: Attach, network: str = "", public: str = "", tenants: tuple[str, ...] = ()) -> Site:
    """A site; behind a router it has one."""
    plan = RouterPlan(Offer(name, "r", "image"), public=public) if attach is Attach.ROUTER else None
    return Site(name, "local", attach, network=network, router=plan, tenant_networks=tenants)


def settings(*sites: Site) -> Settings:
    """Settings with these sites and no pool."""
    return Settings("deep", {one.name: one for one in sites}, {}, pace=Pace(quarantine=REST))


CESNET = site("cesnet", Attach.LOCAL, "10.77.1.0/24")
UPV = site("upv", Attach.ROUTER, "10.77.2.0/24", public="198.51.100.20")
BARI = site("bari", Attach.ROUTER, "10.77.3.0/24")
AWS = site("aws", Attach.DIRECT)
ALL = settings(CESNET, UPV, BARI, AWS)
