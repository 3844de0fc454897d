"""Waits that do not all end together: a few per cent longer for each name, by its hash and not by chance.

What failed in one second would otherwise come back in one second, again and again.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

#: A wait is longer by at most this share of it.
MOST = 0.25


def spread(wait: timedelta, *names: object) -> timedelta:
    """Return *wait*, longer by a share that follows from *names* alone: from nothing up to :data:`MOST`."""
    digest = sha256("/".join(str(one) for one in names).encode()).digest()
    return wait * (1 + MOST * int.from_bytes(digest[:4], "big") / 2**32)
