"""A cluster with a site behind a router and one whose workers have tunnels of their own, for screens and views."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from clues.model import (
    Attach,
    CaGeneration,
    CaStatus,
    Claim,
    ClaimState,
    HubStatus,
    Kind,
    Observed,
    OverlayStatus,
    Published,
    RouterPlan,
    ShortcutStatus,
    Tunnel,
)
from tests.unit.builders import NOW, ago, ahead, hybrid, make_claim, make_offer, make_site

MONTH = timedelta(days=30)


def make_hub(name: str = "hub", *, up: bool = True, **more: Any) -> HubStatus:
    return HubStatus(
        **{
            "name": name,
            "up": up,
            "taken_at": ago(seconds=1),
            "revision": 41,
            "crl_ends": ahead(days=6.4),
            "certificate_ends": ahead(days=22),
            **more,
        }
    )


def make_tunnel(claim: Claim, **more: Any) -> Tunnel:
    return Tunnel(
        **{
            "claim": claim.key,
            "hub": "hub",
            "real": "198.51.100.20:41194",
            "address": claim.tunnel,
            "since": ago(minutes=12),
            "received": 1_234_567,
            "sent": 400_123,
            **more,
        }
    )


def make_router(site: str = "upv", state: ClaimState = ClaimState.READY, **more: Any) -> Claim:
    number = {"upv": 10, "ifca": 11}.get(site, 12)
    return make_claim(
        f"router-{site}",
        state,
        **{
            "kind": Kind.ROUTER,
            "pool": "",
            "offer": make_offer(site, "small"),
            "tunnel": f"10.77.252.{number}" if state is not ClaimState.PLANNED else "",
            **more,
        },
    )


def make_status(*tunnels: Tunnel, **more: Any) -> OverlayStatus:
    return OverlayStatus(
        **{
            "taken_at": ago(seconds=1),
            "hubs": (make_hub(),),
            "tunnels": {one.claim: one for one in tunnels},
            **more,
        }
    )


def joined(status: OverlayStatus | None = None, claims: list[Claim] | None = None, error: str = "") -> Published:
    """Return :func:`tests.unit.builders.hybrid` with routers at upv and ifca, and direct workers at aws."""
    upv, ifca = make_router(), make_router("ifca", ClaimState.BOOTING, since=ago(seconds=20), reason="listed by ifca")
    workers = [make_claim(f"cpu-02{n}", offer=make_offer("upv", "medium")) for n in range(3)]
    direct = make_claim(
        "cpu-030", offer=make_offer("aws", "c7i.2xlarge"), address="10.77.252.30", tunnel="10.77.252.30"
    )
    if claims is None:
        claims = [upv, ifca, *workers, direct]
    if status is None and not error:
        status = make_status(make_tunnel(upv), make_tunnel(direct, real="203.0.113.7:1194", received=0, sent=640))
    published = hybrid()
    observed = Observed(status, status.taken_at if status else None, error)
    plan = RouterPlan(make_offer("upv", "small"))
    sites = {
        "cesnet": published.settings.sites["cesnet"],
        "upv": make_site("upv", connector="opennebula", attach=Attach.ROUTER, router=plan),
        "ifca": make_site("ifca", connector="opennebula", attach=Attach.ROUTER, router=plan),
        "aws": make_site("aws", connector="ec2", attach=Attach.DIRECT),
    }
    world = replace(
        published.world, overlay=observed, claims={**published.world.claims, **{one.key: one for one in claims}}
    )
    return replace(published, world=world, settings=replace(published.settings, sites=sites))


def make_shortcut(one: Claim, other: Claim, *, up: bool = True) -> ShortcutStatus:
    return ShortcutStatus((one.key, other.key), up, ago(minutes=3), 38_000_000_000, 999)


def make_ca() -> CaStatus:
    return CaStatus(
        generations=(
            CaGeneration("ca-1772460000", NOW, NOW + timedelta(days=3650), signs=False),
            CaGeneration("ca-1740000000", ago(days=375), ahead(days=3275), signs=True, certificates=7),
        ),
        crl_ends=ahead(days=6.4),
        revoked=2,
        next="ca-1772460000 signs, once all members trust it",
        members={"router-upv-1": ahead(days=25), "cpu-030-1": ahead(days=12)},
    )
