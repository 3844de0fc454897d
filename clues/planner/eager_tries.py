"""Eager pools whose boots failed lately, and a job that needs more nodes at once than is risked now.

No node of such a job may stand open, for Slurm would give it all of them; so nothing would ever show that VMs come up
again. Single nodes are powered up instead, for no job, as single VMs are bought in planned pools. Each that comes lets
more be risked, until the job has its nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clues.model import Claim, Mode, Node, Pool, PowerUp
from clues.planner.buying.placement import Buyer
from clues.planner.view import View


def tries(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> list[PowerUp]:
    """Return what Slurm is to power up to try.

    :param buyer: was asked before how many VMs each pool could have.
    """
    if view.snapshot is None or view.world.operator.paused:
        return []
    backed = {claim.node for claim in claims.values() if claim.live}
    names: dict[str, None] = {}
    for (name, _), count in buyer.gates.too_large.items():
        pool = view.settings.pools[name]
        if pool.mode is Mode.EAGER and _is_waited_for(view, pool, buyer):
            bare = [node for node in _nodes(view, pool) if node.name not in backed]
            tried = sum(1 for node in bare if node.powering_up)
            names |= dict.fromkeys([node.name for node in bare if _can_be_tried(node, view)][: max(0, count - tried)])
    return [PowerUp(tuple(names))] if names else []


def _nodes(view: View, pool: Pool) -> Iterator[Node]:
    for name in pool.nodes:
        node = view.node(name)
        if node is not None and node.understood:
            yield node


def _can_be_tried(node: Node, view: View) -> bool:
    """Whether it is off, stands open, and nobody has use for it."""
    stands_open = node.off and not (node.closed or node.busy or node.powering_up or node.turning_off)
    return stands_open and node.name not in view.world.operator.wishes


def _is_waited_for(view: View, pool: Pool, buyer: Buyer) -> bool:
    """Whether a job of several nodes waits in a partition of the pool's, and no offer can give it all of them."""
    jobs = view.snapshot.jobs if view.snapshot is not None else ()
    partitions = {partition for node in _nodes(view, pool) for partition in node.partitions}
    sizes = {
        job.request.nodes_min
        for job in jobs
        if job.pending and job.request.nodes_min > 1 and not partitions.isdisjoint(job.partitions)
    }
    return any(all(buyer.refusal(pool, offer, size, whole=True) for offer in pool.offers) for size in sizes)
