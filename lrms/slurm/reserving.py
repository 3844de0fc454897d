"""Reservations that keep nodes free for a maintenance: nobody's job starts there that could not end before.

What 22.05.8 does, and what follows from it here:

* An operator may make reservations, and so may SlurmUser.
* ``Nodes=`` without a name does not empty one: Slurm takes nodes of its own choice. So one without nodes is deleted.
* ``IGNORE_JOBS`` lets one be made over jobs that run; they go on. Nodes that are closed or off may be in it.
* When it begins its nodes show ``MAINTENANCE+RESERVED``; they can be drained, powered down and taken out as ever.
* Times are read on the clock of ``TZ``, which is UTC for all our commands, and to the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from clues.errors import LrmsError
from clues.hostlist import compress
from lrms.slurm.commands import Commands
from lrms.slurm.reservations import read_reservations

_NAME = re.compile(r"clues-[A-Za-z0-9_-]+")


def reserve(commands: Commands, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
    """Have reservation *name* hold exactly *nodes*, from *begin* to *end*; without nodes there is none.

    :raises LrmsError: it is not a name of ours, a node is not one of a pool's, or Slurm refuses it.
    """
    if not _NAME.fullmatch(name):
        raise LrmsError(f"not a reservation of ours, never changed: {name!r}")
    foreign = sorted(set(nodes) - commands.names)
    if foreign:
        raise LrmsError(f"not nodes of a pool, never reserved: {', '.join(foreign[:5])}")
    shown, _ = read_reservations(commands.tools.run(["scontrol", "-o", "show", "reservation"]))
    present = next((one for one in shown if one.name == name), None)
    if not nodes:
        if present is not None:
            commands.tools.run(["scontrol", "delete", f"reservationname={name}"])
        return
    where = f"nodes={compress(sorted(nodes))}"
    if present is not None:
        if present.nodes != frozenset(nodes):
            commands.tools.run(["scontrol", "update", f"reservationname={name}", where])
        return
    times = (f"starttime={_moment(begin)}", f"endtime={_moment(end + timedelta(seconds=1))}")
    flags = ("flags=maint,ignore_jobs", "users=root")
    commands.tools.run(["scontrol", "create", "reservation", f"reservationname={name}", *times, where, *flags])


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
