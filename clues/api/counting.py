"""The pools' nodes in numbers."""

from __future__ import annotations

from collections import Counter

from clues.api.lens import Lens
from clues.api.states import Reading, state_of


def count_nodes(lens: Lens) -> Counter[tuple[str, str, str]]:
    """Return how many nodes of the pools there are by site (empty: no VM), pool, and the word for their state."""
    slurm_known = lens.published.world.lrms.value is not None
    nodes: Counter[tuple[str, str, str]] = Counter()
    for name, pool in lens.pool_of.items():
        claim = lens.claim_of.get(name)
        state = state_of(Reading(claim, lens.nodes.get(name), lens.wishes.get(name), slurm_known))
        nodes[claim.offer.site if claim is not None else "", pool.name, state] += 1
    return nodes
