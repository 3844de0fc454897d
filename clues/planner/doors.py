"""Which nodes Slurm may use: what each node's flags are, against what its claim says they should be.

Level-triggered: a command that was lost, or undone by a restart of slurmctld, is simply given again.  Nothing here
looks at anything but the present flags and the present claim, so it does not matter how the node got where it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from clues.model import (
    COMING,
    Action,
    Bind,
    Claim,
    ClaimState,
    Drain,
    Mode,
    Node,
    Open,
    Pool,
    PowerOff,
    PowerUp,
    Release,
    Wish,
)
from clues.planner.claims.moves import OUT_OF_REACH
from clues.planner.eager import NONE_TO_BE_HAD
from clues.planner.phases.common import ENDING_WISHES
from clues.planner.queue.features import pool_features
from clues.planner.view import View

OFF = "clues:off"
STARTING = "clues:starting"
STOPPING = "clues:stopping"


class _Orders:
    """Commands collected over all nodes, so that nodes alike share one."""

    def __init__(self) -> None:
        #: by gang, whose nodes are opened in one command; "" for all others
        self.open: dict[str, list[str]] = defaultdict(list)
        self.drain: dict[str, list[str]] = defaultdict(list)
        self.power_off: dict[tuple[str, bool], list[str]] = defaultdict(list)
        self.bind: list[Bind] = []
        #: which features are to be active, by pool, site, market and those that Slurm knows of
        self.declared: dict[tuple[str, str, str, frozenset[str]], frozenset[str]] = {}
        #: nodes of eager pools
        self.release: list[str] = []
        self.power_up: list[str] = []

    def actions(self) -> list[Action]:
        """Return them as actions: closing comes before opening."""
        orders: list[Action] = [Drain(tuple(names), reason) for reason, names in self.drain.items()]
        orders += [PowerOff(tuple(names), reason, lost) for (reason, lost), names in self.power_off.items()]
        orders += self.bind
        orders += [Open(tuple(names)) for names in self.open.values()]
        orders += [Release(tuple(self.release))] if self.release else []
        orders += [PowerUp(tuple(self.power_up))] if self.power_up else []
        return orders


def door_actions(
    view: View, claims: Mapping[str, Claim], openings: Mapping[str, int | None] | None = None
) -> list[Action]:
    """Return the Slurm commands that bring every pool node to where its claim wants it.

    :param openings: by eager pool, how many of its nodes that are off may stand open; None or not in it: as they stand.
    """
    if view.snapshot is None:
        return []
    by_node: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims.values():
        if claim.live:
            by_node[claim.node].append(claim)
    orders = _Orders()
    spare: dict[str, list[Node]] = defaultdict(list)
    # the others rest, as most nodes do
    eager = {name for pool in view.settings.pools.values() if pool.mode is Mode.EAGER for name in pool.nodes}
    awake = eager.union(view.awake, by_node)
    for name, pool in view.pool_by_node.items():
        if name not in awake:
            continue
        node = view.snapshot.nodes.get(name)
        if node is None or not node.understood:
            continue
        mine = by_node.get(name, [])
        if len(mine) > 1:
            mine = [claim for claim in mine if not _is_second(claim, mine)]
        if not mine and pool.mode is Mode.EAGER and (node.off or node.powering_up):
            spare[pool.name].append(node)
        elif not mine:
            _unclaimed(node, pool, view, orders)
        else:
            _claimed(node, pool, mine[0], view, orders)
    for name, nodes in spare.items():
        _spare(nodes, (openings or {}).get(name), view, orders)
    return orders.actions()


def _is_second(claim: Claim, all_of_node: list[Claim]) -> bool:
    """Whether another claim of the same node is the one that counts: an ending one never rules a living one."""
    ending = {ClaimState.FAILED, ClaimState.STOPPING}
    return claim.state in ending and any(one.state not in ending for one in all_of_node if one.key != claim.key)


def _spare(nodes: Iterable[Node], most: int | None, view: View, orders: _Orders) -> None:
    """Nodes of an eager pool without a VM: off and open, so that Slurm may pick them, as many as could have one."""
    wishes = view.world.operator.wishes
    # those that stand open already come first: what is not needed does not change hands
    for node in sorted(nodes, key=lambda one: one.closed):
        if node.off and node.active_features != node.features:
            orders.bind.append(Bind(node.name, "", node.features))
        if not node.off or node.busy or node.powering_up or node.turning_off or node.kept_by_admin:
            continue
        wish = wishes.get(node.name)
        if wish in ENDING_WISHES:
            if not node.closed:
                orders.drain[OFF].append(node.name)
            continue
        if most is None:
            continue
        if most <= 0:
            if not node.closed:
                orders.drain[NONE_TO_BE_HAD].append(node.name)
            continue
        most -= 1
        if node.closed:
            orders.release.append(node.name)
        elif wish is Wish.ON and not view.world.operator.paused:
            orders.power_up.append(node.name)


def _unclaimed(node: Node, pool: Pool, view: View, orders: _Orders) -> None:
    """No VM stands behind it: closed, and powered down."""
    if node.off and node.active_features != node.features:
        # it may come from any of its sites again: Slurm refuses a job whose --constraint no node has active
        orders.bind.append(Bind(node.name, "", node.features))
    if node.turning_off:
        return
    if node.off or node.busy or "POWERING_UP" in node.flags:
        if node.off and not node.busy and "DRAIN" not in node.flags:
            orders.drain[node.reason if node.kept_by_admin else OFF].append(node.name)
        return
    if node.kept_by_admin:
        return
    if any(site not in view.listings for site in pool.sites):
        return  # it may be the node of a VM that we shall find again
    if "DRAIN" not in node.flags and "DOWN" not in node.flags:
        orders.drain[OFF].append(node.name)
    else:
        orders.power_off[OFF, False].append(node.name)


def _claimed(node: Node, pool: Pool, claim: Claim, view: View, orders: _Orders) -> None:
    ending = {ClaimState.DRAINING, ClaimState.FAILED, ClaimState.STOPPING}
    if pool.mode is Mode.EAGER and claim.state in ending and (node.powering_up or node.turning_off):
        return  # nothing can start there, and a drain would be lost, or take the node's next job from it
    if claim.state in COMING:
        # one that Slurm has allocated itself is drained only once it has registered: drained while it powers up, 22.05
        # requeues its job; drained then, that job goes on and no further one starts before the checks
        allocated = node.busy or "POWERING_UP" in node.flags
        if not node.closed and pool.mode is Mode.PLANNED and (node.registered or not allocated):
            orders.drain[STARTING].append(node.name)
        _bind(node, pool, claim, orders)
    elif claim.state is ClaimState.READY:
        _bind(node, pool, claim, orders)
        if node.openable and view.reachable(claim) and not view.closed_for_maintenance(claim):
            orders.open[claim.gang].append(node.name)
    elif claim.state in {ClaimState.DRAINING, ClaimState.FAILED}:
        if not node.closed:
            orders.drain[STOPPING].append(node.name)
    elif claim.state is ClaimState.STOPPING and not node.turning_off:
        _stopping(node, claim, orders)


def _stopping(node: Node, claim: Claim, orders: _Orders) -> None:
    if node.off:
        if "DRAIN" not in node.flags and not node.busy:
            orders.drain[claim.held_by or OFF].append(node.name)
        return
    vanished = claim.failure in OUT_OF_REACH
    if node.closed and node.busy and not vanished:
        return  # Slurm has given it a job meanwhile; nothing is powered off under one, however often it is asked for
    if node.closed or vanished:
        orders.power_off[claim.held_by or OFF, vanished].append(node.name)
    else:
        orders.drain[claim.held_by or STOPPING].append(node.name)


def _bind(node: Node, pool: Pool, claim: Claim, orders: _Orders) -> None:
    """The node's address, and its site as the active one among its features (both are lost on a reconfigure)."""
    alike = (pool.name, claim.offer.site, claim.offer.market, node.features)
    declared = orders.declared.get(alike)
    if declared is None:
        features = pool_features(pool, claim.offer)
        declared = orders.declared[alike] = features & node.features if node.features else features
    address = claim.address
    if (address and node.address != address) or (node.features and node.active_features != declared):
        orders.bind.append(Bind(node.name, address or node.address, declared))
