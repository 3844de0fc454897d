"""What is lacking is planned together: the offer follows from what all jobs cost, the order from their priority."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from clues.model import Boots, Claim, ClaimState, Limits, Memory, Plan, Resources, Settings, Verdict
from clues.planner.buying.placement import Buyer
from clues.planner.buying.purchase import Lot, Purchase
from clues.planner.buying.shopping import Shopping
from clues.planner.queue.bins import Bins
from clues.planner.view import make_view
from tests.unit.builders import NOW, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.deciding import bought, cluster, job, plan

GiB = 1024
SHAPE = Resources(8, 32 * GiB)


def sized(limits: Limits | None = None, **more: Any) -> Settings:
    """Two pools of one site: two cores for 0.12, eight for 0.40."""
    small = make_pool("small", 20, shape=Resources(2, 8 * GiB), offers=[make_offer(price_per_hour=0.12)])
    large = make_pool("large", 20, shape=Resources(8, 32 * GiB), offers=[make_offer(price_per_hour=0.40)])
    pools = [replace(pool, partitions=("cpu",)) for pool in (small, large)]
    return make_settings(pools, [make_site(limits=limits or Limits())], **more)


def pools_of(decided: Plan) -> Counter[str]:
    return Counter(claim.pool for claim in decided.claims if claim.created_at == NOW)


def decided_for(settings: Settings, *jobs: Any, claims: tuple[Claim, ...] = ()) -> Plan:
    return plan(cluster(jobs, claims, settings=settings), settings)


def test_one_small_job_buys_a_small_node_and_eight_buy_a_large_one() -> None:
    """By themselves all eight would buy small nodes: four of them, for 0.48 an hour instead of 0.40."""
    assert pools_of(decided_for(sized(), job(1))) == {"small": 1}
    assert pools_of(decided_for(sized(), *(job(n) for n in range(8)))) == {"large": 1}
    assert pools_of(decided_for(sized(), *(job(n) for n in range(9)))) == {"large": 1, "small": 1}


def test_the_example_of_the_documentation() -> None:
    """docs/explanation/packing.md: six large nodes and a small one, 2.52 an hour."""
    jobs = [job(n, 5, ask={"memory_per_node_mib": 8 * GiB}) for n in range(6)]
    jobs += [job(10 + n, 1, ask={"memory_per_node_mib": 4 * GiB}) for n in range(20)]
    decided = decided_for(sized(), *jobs)
    assert pools_of(decided) == {"large": 6, "small": 1}
    assert {outlook.verdict for outlook in decided.outlooks.values()} == {Verdict.BUYING}
    loads = Counter(tuple(sorted(claim.tasks)) for claim in decided.claims)
    assert sum(count * sum(tasks) for tasks, count in loads.items()) == 26


def test_a_claim_knows_all_jobs_that_it_is_for_the_most_urgent_first() -> None:
    jobs = [job(n, priority=n) for n in range(1, 9)]
    (claim,) = decided_for(sized(), *jobs).claims
    assert claim.jobs == ("8", "7", "6", "5", "4", "3", "2", "1")
    assert claim.reason == "for job 8 and 7 more"


def test_an_array_counts_by_its_tasks() -> None:
    (claim,) = decided_for(sized(), job("100_[1-8]", count=8, count_pending=8)).claims
    assert (claim.jobs, claim.tasks) == (("100_[1-8]",), (8,))


def test_what_was_planned_together_is_not_bought_again_in_parts_while_it_comes() -> None:
    jobs = [job(n, 5) for n in range(4)] + [job(10 + n, 3) for n in range(4)]
    first = decided_for(sized(), *jobs)
    coming = tuple(replace(claim, state=ClaimState.BOOTING, launched_at=NOW) for claim in first.claims)
    # a newcomer with a higher priority does not take away what was bought for the others
    later = decided_for(sized(), *jobs, job(99, 2, priority=10**6), claims=coming)
    assert [claim.jobs for claim in later.claims if claim.key not in {one.key for one in coming}] == [("99",)]
    again = decided_for(sized(), *jobs, claims=coming)
    assert bought(again) == []


def test_the_higher_priority_has_what_not_all_can_have() -> None:
    """One node may be bought: it goes to the large job that comes first, or to the small ones if they do."""
    limits = Limits(vms=1)
    small = [job(n, priority=5) for n in range(8)]
    decided = decided_for(sized(limits), *small, job(50, 8, priority=50))
    assert [claim.jobs for claim in decided.claims] == [("50",)]
    decided = decided_for(sized(limits), *small, job(50, 8, priority=1))
    assert [len(claim.jobs) for claim in decided.claims] == [8]
    assert decided.outlooks["50"].verdict is Verdict.BLOCKED
    assert "VMs" in decided.outlooks["50"].sites["cesnet"]


def test_the_brake_lets_the_most_urgent_go_first() -> None:
    settings = sized()
    braked = replace(settings, pace=replace(settings.pace, launches_per_tick=2))
    jobs = [job(n, 8, priority=n) for n in range(1, 9)]
    decided = decided_for(braked, *jobs)
    assert [claim.jobs for claim in decided.claims] == [("8",), ("7",)]


def test_gangs_fill_their_nodes_together_and_single_jobs_what_they_leave() -> None:
    gangs = [job(n, 3, nodes=2) for n in (1, 2)]
    decided = decided_for(sized(), *gangs, job(3, 2), job(4, 2))
    assert pools_of(decided) == {"large": 2}
    assert {claim.gang for claim in decided.claims} == {"1"}
    assert all({"1", "2"} < set(claim.jobs) and len(claim.jobs) == 3 for claim in decided.claims)


def test_a_gang_takes_nodes_of_several_pools_of_a_site_where_one_has_too_few() -> None:
    settings = sized()
    pools = [replace(pool, nodes=pool.nodes[:2]) for pool in settings.pools.values()]
    few = replace(settings, pools={pool.name: pool for pool in pools})
    decided = decided_for(few, job(1, 2, nodes=4))
    assert pools_of(decided) == {"small": 2, "large": 2}
    assert {(claim.gang, claim.gang_size, claim.jobs) for claim in decided.claims} == {("1", 4, ("1",))}


def test_a_gang_is_bought_in_one_zone_of_a_site() -> None:
    """Its nodes are to stand close together, and a placement group is of one zone."""
    cheap = make_pool("cheap", 2, shape=SHAPE, offers=[make_offer(price_per_hour=0.1, zone="a")])
    dear = make_pool("dear", 20, shape=SHAPE, offers=[make_offer(price_per_hour=0.4, zone="b")])
    pools = [replace(pool, partitions=("cpu",)) for pool in (cheap, dear)]
    assert pools_of(decided_for(make_settings(pools, [make_site(limits=Limits())]), job(1, 8, nodes=3))) == {"dear": 3}
    pools = [replace(pool, offers=(replace(pool.offers[0], zone=""),)) for pool in pools]
    both = pools_of(decided_for(make_settings(pools, [make_site(limits=Limits())]), job(1, 8, nodes=3)))
    assert both == {"cheap": 2, "dear": 1}


def test_gangs_that_share_some_of_their_nodes_are_opened_as_far_as_they_can_be_told_apart() -> None:
    """The larger first: a gang all of whose nodes are another's as well is opened with that one."""
    jobs = {rank: job(rank) for rank in (1, 2, 3)}
    spots: list[Any] = [(None, None)] * 5
    tasks: Any = {1: [(0, 1)], 2: [(0, 1, 2)], 3: [(2, 3, 4)]}
    gangs = Purchase(spots, jobs=jobs, tasks=tasks).gangs()
    assert {at: (one.id, size) for at, (one, size) in gangs.items()} == {
        0: ("2", 3),
        1: ("2", 3),
        2: ("2", 3),
        3: ("3", 2),
        4: ("3", 2),
    }


def test_of_offers_that_cost_the_same_the_one_that_is_ready_sooner_is_taken() -> None:
    """Planned together and one by one alike; what differs by less than half a minute does not decide."""
    slow, quick = make_offer("cesnet", price_per_hour=0.2), make_offer("upv", price_per_hour=0.2)
    settings = make_settings(
        [replace(make_pool("cpu", 9), offers=(slow, quick))], [make_site("cesnet"), make_site("upv")]
    )

    def taken(boots: float, *jobs: Any) -> set[str]:
        seen = {"cesnet": 300.0, "upv": boots}
        known = {f"{one.site}/{one.flavor}/{one.market}": Boots((seen[one.site],) * 9) for one in (slow, quick)}
        world = cluster(jobs, settings=settings, memory=Memory(boots=known))
        return {claim.offer.site for claim in plan(world, settings).claims}

    by_name = job(2, wanted_nodes=frozenset({"cpu-1"}))
    assert taken(120.0, job(1)) == taken(120.0, by_name) == {"upv"}
    assert taken(900.0, job(1)) == taken(900.0, by_name) == {"cesnet"}
    assert taken(290.0, job(1)) == {"cesnet"}


@pytest.mark.parametrize(("vms", "had"), [(1, False), (2, True)])
def test_nodes_of_two_pools_are_bought_together_only_if_the_limits_hold_both(vms: int, had: bool) -> None:
    """Each by itself is within the limit: something else was bought since the plan was made."""
    settings = sized(Limits(vms=vms))
    view = make_view(cluster((), settings=settings), settings, NOW)
    buyer = Buyer(view, {})
    lots = [Lot(pool, list(buyer.vacant(pool)), frozenset()) for pool in settings.pools.values()]
    spots = [(lot, lot.pool.offers[0]) for lot in lots]
    purchase = Purchase(spots, jobs={1: job(1)}, tasks={1: [(0, 1)]}, loads=[Resources(), Resources()])
    assert Shopping(view, buyer, Bins(), {}).buy(purchase) is had
    assert [claim.gang_size for claim in buyer.bought] == ([2, 2] if had else [])
