"""How the toy cluster is configured: one pool, two sites with narrow limits, and short times."""

from __future__ import annotations

from datetime import timedelta

from clues.model import Limits, Pace, Settings
from tests.unit.builders import make_offer, make_pool, make_settings, make_site

TURN = timedelta(seconds=3)
LIMITS = {"cesnet": 4, "aws": 3}


def toy_settings() -> Settings:
    """One pool, two sites with narrow limits, and short times."""
    pool = make_pool(
        count=6,
        offers=[make_offer("cesnet"), make_offer("aws", "c7i", price_per_hour=0.4)],
        idle=timedelta(seconds=90),
        boot_deadline=timedelta(seconds=150),
        join_deadline=timedelta(seconds=60),
    )
    pace = Pace(
        look=TURN,
        look_busy=TURN,
        listing=timedelta(seconds=12),
        listing_busy=timedelta(seconds=6),
        vanished_after=timedelta(seconds=40),
        retry_offer=timedelta(seconds=20),
        retry_offer_longest=timedelta(seconds=60),
        misread_after=timedelta(seconds=60),
    )
    return make_settings([pool], [make_site(name, limits=Limits(vms=most)) for name, most in LIMITS.items()], pace=pace)
