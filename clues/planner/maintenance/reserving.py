"""Slurm's own reservations: they keep a site's nodes free for its maintenance, and let short jobs use them until then.

Slurm starts any job on an open node, so without one a node has to be closed to keep a single long job off it. Each
announced maintenance has one reservation, which holds the nodes that are at its site now: it is made, changed and
deleted as claims come and go, and one that nothing is known of is deleted, if it has this cluster's name. It is asked
for before the nodes are opened, and counts only once a snapshot shows it (``kept_free`` in ``closing.py``).

A pause keeps none of this back: it buys and stops nothing, and jobs that start meanwhile have to be spared as well.

When the maintenance begins its nodes are closed by us as well; only then the reservation goes, so that a node may serve
another site.
"""

from __future__ import annotations

from collections.abc import Mapping

from clues.model import Claim, Kind, Reserve
from clues.planner.maintenance.closing import prefix_of, reservation_of
from clues.planner.view import View


def reservations(view: View, claims: Mapping[str, Claim]) -> list[Reserve]:
    """Return what has to be changed of our reservations."""
    snapshot, operator = view.snapshot, view.world.operator
    if snapshot is None:
        return []
    prefix = prefix_of(view.world.cluster)
    present = {one.name: one for one in snapshot.reservations if one.name.startswith(prefix)}
    changes: list[Reserve] = []
    for window in (one for one in operator.maintenance if one.end > view.now):
        name = reservation_of(view.world.cluster, window)
        there = present.pop(name, None)
        held = there.nodes if there is not None else frozenset()
        wanted = _at(window.site, claims)
        if window.begin <= view.now:
            wanted = held if any(_is_open(node, view) for node in held) else frozenset()
        if wanted != held:
            changes.append(Reserve(name, window.begin, window.end, tuple(sorted(wanted))))
    changes += [Reserve(name, one.start, one.end, ()) for name, one in present.items()]
    return changes


def _at(site: str, claims: Mapping[str, Claim]) -> frozenset[str]:
    return frozenset(
        claim.node for claim in claims.values() if claim.live and claim.kind is Kind.WORKER and claim.offer.site == site
    )


def _is_open(name: str, view: View) -> bool:
    node = view.node(name)
    return node is not None and not node.closed and not node.off
