"""How the toy cluster is configured: one pool, two sites with narrow limits, and short times.

In a private world one of the sites lies behind a router.
"""

from __future__ import annotations

from datetime import timedelta

from clues.model import Attach, Limits, Pace, Resources, RouterPlan, Settings
from tests.unit.builders import make_offer, make_pool, make_settings, make_site

TURN = timedelta(seconds=3)
LIMITS = {"cesnet": 4, "aws": 3}


def toy_settings(*, private: bool = False) -> Settings:
    """One pool, two sites with narrow limits, and short times; what one of them costs, only its provider knows."""
    pool = make_pool(
        count=6,
        offers=[make_offer("cesnet"), make_offer("aws", "c7i", price_per_hour=None)],
        idle=timedelta(seconds=90),
        boot_deadline=timedelta(seconds=150),
        join_deadline=timedelta(seconds=60),
    )
    pace = Pace(
        look=TURN,
        look_busy=TURN,
        listing=timedelta(seconds=12),
        listing_busy=timedelta(seconds=6),
        terms=timedelta(seconds=60),
        vanished_after=timedelta(seconds=40),
        retry_offer=timedelta(seconds=20),
        retry_offer_longest=timedelta(seconds=60),
        misread_after=timedelta(seconds=60),
    )
    sites = [make_site(name, limits=Limits(vms=most)) for name, most in LIMITS.items()]
    if private:
        router = RouterPlan(
            offer=make_offer("aws", "t3.micro", price_per_hour=0.05),
            shape=Resources(1, 1024),
            linger=timedelta(seconds=30),
            boot_deadline=timedelta(seconds=150),
            join_deadline=timedelta(seconds=30),
            silent_after=timedelta(seconds=15),
        )
        sites[1] = make_site("aws", limits=Limits(vms=LIMITS["aws"]), attach=Attach.ROUTER, router=router)
    return make_settings([pool], sites, pace=pace)
