"""Pools in which Slurm's own power saving picks the nodes (``mode: eager``): what it waits for, and what it may pick.

Slurm binds a job to nodes that are off and waits for their machines. So three things have to be seen to here that a
planned pool does not know:

* A node that Slurm powers up is bought by the same machinery as any other, all nodes of a job at one site. As long as
  some offer can be had its job notices nothing of those that could not.
* Where none can, the job's nodes that are still on their way are given up in one command: Slurm requeues the job at
  once, and no mate goes on booting, and costing, for a job that cannot start.
* A job requeued so would be given the next node of its pool in the same minute, and that one be given up as well. So no
  more nodes stand open than could be had now; the others are closed as a planned pool's are, and the job stays pending
  until an offer can be had again.

What is only not known yet, such as a site's first listing, closes nothing and gives nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from clues.model import (
    COMING,
    OUR_REASON,
    Action,
    Annotate,
    BreakerState,
    Claim,
    Forget,
    GiveUp,
    Job,
    Mode,
    Node,
    Note,
    Offer,
    Pool,
    PowerRequest,
    Wish,
)
from clues.planner.buying.placement import Buyer
from clues.planner.capacity.breaker import against, is_hiccup
from clues.planner.view import View

#: What Slurm shows as the reason of nodes that stand closed because no VM could be had for them.
NONE_TO_BE_HAD = "clues:no VM to be had, see `clues offers`"
GIVEN_UP = "clues:no VM for it, its job is requeued"


@dataclass(frozen=True, slots=True)
class Want:
    """Nodes of one pool that Slurm waits for on behalf of one job."""

    pool: Pool
    nodes: tuple[Node, ...]
    #: None where it is not known whose they are
    job: Job | None = None


#: by node, the job that Slurm has given it
Holders = Mapping[str, Job]


def holders_of(view: View) -> Holders:
    """Return the job that holds each node, as far as one is known; none where no pool is eager."""
    if view.snapshot is None or not any(pool.mode is Mode.EAGER for pool in view.settings.pools.values()):
        return {}
    return {name: job for job in view.snapshot.jobs if job.running for name in job.nodes}


def wants(view: View, nodes: Iterable[Node], holders: Holders) -> list[Want]:
    """Return what Slurm waits for, by job.

    :param nodes: those without a VM that it has allocated, or is powering up.
    """
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        job = holders.get(node.name)
        whose = job.id if job is not None else f"{node.name} alone"
        groups.setdefault((view.pool_by_node[node.name].name, whose), []).append(node)
    return [
        Want(view.settings.pools[pool], tuple(members), holders.get(members[0].name))
        for (pool, _), members in groups.items()
    ]


def serve(view: View, claims: Mapping[str, Claim], want: Want, buyer: Buyer) -> Mapping[str, str] | None:
    """Buy what Slurm waits for, all of it at one site unless the pool may span them.

    Return why no offer can be had, by offer, when it shall be given up; None when it is bought, or may be soon.
    """
    if any("DOWN" in node.flags for node in want.nodes):
        return {}  # it was being given up when somebody died between two commands
    if not all(node.machine_asked_for for node in want.nodes):
        return None  # a VM of now might boot before Slurm asks for it; the hook hurries a look when it has
    pool, count = want.pool, len(want.nodes)
    site = _site_of_mates(claims, want)
    refusals: dict[str, str] = {}
    for offer in sorted(pool.offers, key=view.cost):
        if site and offer.site != site:
            refusals[offer.key] = f"the other nodes of its job are at {site}"
            continue
        account = want.job.account if want.job is not None else ""
        why = buyer.why_not(pool, offer, count, account, whole=True)
        if not why:
            _buy(want, offer, want.nodes, buyer)
            return None
        if _passes(view, pool, offer, buyer) or not buyer.refusal(pool, offer, count, account, whole=True):
            return None  # it is only not known yet, or has its turn in the next tick
        refusals[offer.key] = why
    if pool.span and count > 1 and _spread(view, want, buyer):
        return None
    return refusals


def give_up(
    view: View, claims: Mapping[str, Claim], hopeless: Sequence[tuple[Want, Mapping[str, str]]], holders: Holders
) -> list[Action]:
    """Return the orders that free the jobs of nodes that get no VM, and that tell their users why."""
    names: dict[str, None] = {}
    words: list[Action] = []
    for want, refusals in hopeless:
        names |= dict.fromkeys(node.name for node in want.nodes)
        if want.job is None:
            continue
        mates = (view.node(name) for name in want.job.nodes if is_eager(view, name))
        names |= {mate.name: None for mate in mates if mate is not None and mate.powering_up}
        if refusals:
            words.append(Annotate(want.job.id, f"{view.now:%Y-%m-%d %H:%M} UTC: {told(want, refusals)}"))
    names |= dict.fromkeys(_stranded(view, claims, holders))
    names |= dict.fromkeys(_unwanted(view, claims))
    return [GiveUp(tuple(names), GIVEN_UP), *words] if names else []


def told(want: Want, refusals: Mapping[str, str]) -> str:
    """Return in words why nodes are given up."""
    which = ", ".join(node.name for node in want.nodes[:3]) + (", ..." if len(want.nodes) > 3 else "")
    why = "; ".join(f"{offer}: {text}" for offer, text in refusals.items()) or "given up before"
    return f"no VM for {which}: {why}"


def openings(view: View, buyer: Buyer) -> dict[str, int | None]:
    """Return for each eager pool how many of its nodes that are off could have a VM now; None: not known."""
    found: dict[str, int | None] = {}
    for pool in view.settings.pools.values():
        if pool.mode is not Mode.EAGER:
            continue
        best: dict[str, int] = {}  # offers of one site share its limits
        for offer in pool.offers:
            best[offer.site] = max(best.get(offer.site, 0), _most(buyer, pool, offer))
        count = sum(best.values())
        unknown = count == 0 and any(_passes(view, pool, offer, buyer) for offer in pool.offers)
        found[pool.name] = None if unknown else count
    return found


def with_job(claim: Claim, view: View, holders: Holders) -> Claim:
    """Return the claim with the job that Slurm has given its node: it may be seen only after the node."""
    if claim.jobs or claim.state not in COMING or claim.probe or not is_eager(view, claim.node):
        return claim
    job = holders.get(claim.node)
    return claim if job is None else replace(claim, jobs=(job.id,), gang=_gang(job))


def answer(requests: Iterable[PowerRequest]) -> tuple[list[Note], list[Action]]:
    """Return notes that keep what the hook was asked for, and the order to forget it once they are committed."""
    notes = []
    ids = []
    for one in requests:
        ids.append(one.id)
        jobs = f" for {', '.join(one.jobs[:5])}" if one.jobs else ""
        about = (*one.nodes, *(f"job {job}" for job in one.jobs))
        shown = ", ".join(one.nodes[:5]) + (", ..." if len(one.nodes) > 5 else "")
        subject = one.nodes[0] if one.nodes else ""
        notes.append(Note(one.at, "slurm", subject, f"Slurm asks: {one.verb} {shown}{jobs}", about))
    return notes, [Forget(tuple(ids))] if ids else []


def is_eager(view: View, node: str) -> bool:
    """Return whether Slurm's power saving picks this node."""
    pool = view.pool_by_node.get(node)
    return pool is not None and pool.mode is Mode.EAGER


def done_with(node: Node) -> bool:
    """Return whether the VM behind an eager node will never have a job again: Slurm is powering it down, or waits for a
    machine that is started after it asked for it."""
    return node.machine_asked_for or ("POWERING_DOWN" in node.flags and not node.busy)


def powered_down(claim: Claim, node: Node | None, view: View) -> str:
    """Return in words why nobody waits any more for the VM of an eager node that is on its way; empty: somebody does.

    A node that Slurm gave up itself (ResumeTimeout) is waited for all the same: its VM is late, and serves its job when
    that starts again.
    """
    if node is None or not node.understood or not is_eager(view, claim.node) or node.kept_by_admin:
        return ""
    if node.turning_off or (node.off and node.closed and node.reason.startswith(OUR_REASON)):
        return f"Slurm powers it down{': ' + node.reason if node.reason else ''}"
    return ""


def _buy(want: Want, offer: Offer, nodes: Sequence[Node], buyer: Buyer) -> None:
    job = want.job
    if job is None:
        for node in nodes:
            buyer.buy(want.pool, offer, node, (), "Slurm waits for it")
        return
    for node in nodes:
        reason = f"Slurm waits for it, for job {job.id}"
        buyer.buy(want.pool, offer, node, (job.id,), reason, _gang(job), account=job.account)


def _gang(job: Job) -> str:
    return job.het_id or (job.id if len(job.nodes) > 1 else "")


def _spread(view: View, want: Want, buyer: Buyer) -> bool:
    """Buy nodes that no site can give whole at several sites, if these can together; return whether they could."""
    portions: list[tuple[Offer, Sequence[Node]]] = []
    left: Sequence[Node] = want.nodes
    sites = {offer.site: offer for offer in sorted(want.pool.offers, key=view.cost, reverse=True)}
    for offer in sorted(sites.values(), key=view.cost):
        most = min(_most(buyer, want.pool, offer), len(left))
        portions.append((offer, left[:most]))
        left = left[most:]
    if left:
        return False
    for offer, nodes in portions:
        _buy(want, offer, nodes, buyer)
    return True


def _site_of_mates(claims: Mapping[str, Claim], want: Want) -> str:
    """Return where the rest of a job's nodes are or come from; empty where it may be anywhere."""
    if want.job is None or want.pool.span:
        return ""
    mates = set(want.job.nodes)
    return next((one.offer.site for one in claims.values() if one.node in mates and one.serving), "")


def _unwanted(view: View, claims: Mapping[str, Claim]) -> list[str]:
    """Nodes that Slurm powers up although an operator wants them off."""
    off = {name for name, wish in view.world.operator.wishes.items() if wish is not Wish.ON and is_eager(view, name)}
    off -= {claim.node for claim in claims.values() if claim.live} if off else set()
    nodes = [node for name in sorted(off) if (node := view.node(name)) is not None]
    return [node.name for node in nodes if node.powering_up and node.understood and not node.kept_by_admin]


def _stranded(view: View, claims: Mapping[str, Claim], holders: Holders) -> list[str]:
    """Nodes on their way for a gang that has lost them: Slurm requeued it when a mate failed, and leaves them be."""
    running = {job.id for job in holders.values()}
    found = []
    for claim in claims.values():
        if claim.state not in COMING or not claim.gang or not is_eager(view, claim.node):
            continue
        node = view.node(claim.node)
        if node is None or not node.powering_up or node.busy or node.kept_by_admin or not node.understood:
            continue
        if claim.node not in holders and running.isdisjoint(claim.jobs):
            found.append(claim.node)
    return found


def _passes(view: View, pool: Pool, offer: Offer, buyer: Buyer) -> bool:
    """Whether nothing stands against an offer but that its site has not been asked yet, or that others of it are being
    tried and the answer is awaited."""
    observed = view.world.listings.get(offer.site)
    unlisted = offer.site in view.settings.sites and (
        observed is None or (observed.taken_at is None and not observed.error)
    )
    return unlisted or view.asks_prices(offer) or _is_tried(view, pool, offer, buyer)


def _is_tried(view: View, pool: Pool, offer: Offer, buyer: Buyer) -> bool:
    if not buyer.gates.why_not(pool.name, offer, 1, whole=True):
        return False
    breakers = against(view.world.memory, pool.name, offer)
    return all(one.state(view.now) is not BreakerState.OPEN or is_hiccup(one) for one in breakers)


def _most(buyer: Buyer, pool: Pool, offer: Offer) -> int:
    """Return how many more VMs of an offer could be had, as far as the pool has nodes."""
    low, high = 0, len(pool.nodes)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if buyer.refusal(pool, offer, middle, whole=True) else (middle, high)
    return low
