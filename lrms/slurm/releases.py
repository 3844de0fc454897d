"""Which slurmd a slurmctld takes: of its own release and of a few before, never a newer one.

Releases are named by year and month. They came every nine months until 23.11, and come every six since; slurmctld takes
the two releases before its own, from 24.11 on three (SchedMD's upgrade guide).
"""

from __future__ import annotations

import re

from lrms.slurm.config_text import release

_FIRST = ((19, 5), (20, 2), (20, 11), (21, 8), (22, 5), (23, 2), (23, 11))
_THREE_FROM = (24, 11)

_VERSION = re.compile(r"[0-9]+[.][0-9]+[A-Za-z0-9.+-]{0,20}")

_Release = tuple[int, int]


def taken_by(version: str) -> tuple[str, ...]:
    """Return the releases (``22.05``) that slurmd may be of, newest first; none where the version is not understood.

    :param version: of slurmctld, such as ``22.05.8``.
    """
    own = release(version)
    if not _VERSION.fullmatch(version) or _before(own) is None:
        return ()
    found = [own]
    for _ in range(3 if own >= _THREE_FROM else 2):
        if (former := _before(found[-1])) is None:
            break
        found.append(former)
    return tuple(f"{year:02}.{month:02}" for year, month in found)


def _before(one: _Release) -> _Release | None:
    """Return the release before; None where *one* is the first that is known, or none at all."""
    if one in _FIRST:
        at = _FIRST.index(one)
        return _FIRST[at - 1] if at else None
    year, month = one
    if one > _FIRST[-1] and month in (5, 11):
        return (year, 5) if month == 11 else (year - 1, 11)
    return None
