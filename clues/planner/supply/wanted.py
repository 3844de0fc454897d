"""Nodes that Slurm itself wants: it has allocated them, or powers them up, and no VM stands behind them.

Their VMs are bought only once it has asked for their machines (:attr:`Node.machine_asked_for`).
"""

from __future__ import annotations

from collections.abc import Mapping

from clues.model import Claim, Node, Wish
from clues.planner.view import View


def unbacked(view: View, claims: Mapping[str, Claim]) -> list[Node]:
    """Return nodes of ours that Slurm has allocated or is powering up although no VM stands behind them.

    That happens to nodes declared a moment ago and not closed yet, after slurmctld lost its state, and in eager pools.
    """
    backed = {claim.node for claim in claims.values() if claim.live}
    found = []
    unwanted = {name for name, wish in view.world.operator.wishes.items() if wish is not Wish.ON}
    for name, node in view.awake.items():
        if name in backed or name in unwanted or name not in view.pool_by_node:
            continue
        if not node.understood or node.kept_by_admin:
            continue
        if node.powering_up or (node.busy and node.off):
            found.append(node)
    return found
