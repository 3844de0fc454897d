"""The picture as people get it: sums that add up, reasons that are there, and the last decision rather than
the one before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.api import overview, sites, views
from clues.api.lens import Lens
from clues.model import ClaimState, Kind, Observed, Operator, Outlook, Plan, Published, Verdict, Wish, World
from tests.unit.builders import (
    BUSY,
    CLOSED,
    IDLE,
    NOW,
    OFF,
    ago,
    ahead,
    haggled,
    hybrid,
    make_claim,
    make_job,
    make_node,
    make_note,
    make_offer,
    make_pool,
    make_published,
    make_settings,
    make_world,
)


def lens(published: Published) -> Lens:
    return Lens.of(published, NOW)


@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from([state for state in ClaimState if state is not ClaimState.GONE]),
            st.sampled_from([OFF, CLOSED, IDLE, BUSY]),
        ),
        min_size=1,
        max_size=9,
    )
)
def test_up_starting_and_closed_are_all_nodes_of_a_pool(rows: list[tuple[ClaimState | None, frozenset[str]]]) -> None:
    pool = make_pool("cpu", len(rows))
    nodes = [make_node(name, flags) for name, (_, flags) in zip(pool.nodes, rows, strict=True)]
    claims = [make_claim(name, state) for name, (state, _) in zip(pool.nodes, rows, strict=True) if state]
    status = overview.status(lens(make_published(make_settings([pool]), make_world(nodes, (), claims))))
    (row,) = status.pools
    assert row.up + row.starting + row.closed == row.nodes == len(rows)
    assert row.busy + row.idle == row.up
    assert (status.nodes_up, status.nodes_starting, status.nodes_total) == (row.up, row.starting, row.nodes)


def test_what_was_just_decided_is_shown_not_what_was_before() -> None:
    before, after = make_claim("cpu-1", ClaimState.READY), make_claim("cpu-1", ClaimState.DRAINING)
    world = make_world([make_node("cpu-1", IDLE)], (), [before])
    published = make_published(world=world, plan=Plan(claims=(after,)))
    assert views.node(lens(published), "cpu-1").state == "draining"
    gone = make_published(world=world, plan=Plan(claims=(make_claim("cpu-1", ClaimState.GONE),)))
    assert views.node(lens(gone), "cpu-1").claim == ""


def test_the_youngest_claim_of_a_node_is_the_one_that_is_shown() -> None:
    claims = [make_claim(generation=2, state=ClaimState.BOOTING), make_claim(generation=1, state=ClaimState.STOPPING)]
    published = make_published(world=make_world([make_node()], (), claims))
    assert views.node(lens(published), "cpu-1").generation == 2


def test_a_router_is_no_node_but_counts_at_its_site() -> None:
    router = make_claim("router-cesnet", kind=Kind.ROUTER, pool="")
    looked = lens(make_published(world=make_world([], (), [router])))
    assert [node.name for node in views.nodes(looked).nodes] == ["cpu-1", "cpu-2", "cpu-3", "cpu-4"]
    assert sites.sites(looked).sites[0].vms == 1


def test_a_wish_that_is_granted_is_no_longer_shown() -> None:
    world = replace(make_world([make_node()]), operator=Operator(wishes={"cpu-1": Wish.ON, "cpu-2": Wish.DISABLED}))
    looked = lens(make_published(world=world, plan=Plan(granted=("cpu-1",))))
    assert [views.node(looked, name).wish for name in ("cpu-1", "cpu-2")] == ["", "disabled"]


def test_nodes_outside_the_pools_are_shown_only_when_asked_for() -> None:
    looked = lens(make_published(world=make_world([make_node("login-1", {"IDLE"})])))
    assert "login-1" not in [node.name for node in views.nodes(looked).nodes]
    assert views.nodes(looked, outsiders=True).nodes[-1].state == "on-premises"
    assert views.nodes(looked, ["login-1"]).nodes[0].name == "login-1"


def test_a_node_that_slurm_lacks_says_what_to_do() -> None:
    node = views.node(lens(make_published(world=make_world([]))), "cpu-1")
    assert (node.state, "slurm-config --check" in node.reason) == ("down", True)


def test_the_admins_reason_is_told_for_a_held_node() -> None:
    held = make_node("cpu-1", CLOSED, reason="broken fan [root]")
    claim = make_claim("cpu-1", reason="opened for 4242")
    assert (
        views.node(lens(make_published(world=make_world([held], (), [claim]))), "cpu-1").reason == "broken fan [root]"
    )


@pytest.mark.parametrize(
    ("lrms", "paused", "state"),
    [
        (Observed(make_world().lrms.value, ago(seconds=5)), False, "running"),
        (Observed(make_world().lrms.value, ago(seconds=5)), True, "paused"),
        (Observed(make_world().lrms.value, ago(minutes=3), "slurmctld does not answer"), False, "blind"),
        (Observed(make_world().lrms.value, ago(minutes=3)), True, "blind"),
        (Observed(), False, "blind"),
    ],
)
def test_the_word_for_the_cluster(lrms: Observed[object], paused: bool, state: str) -> None:
    world = World(lrms, {}, {}, operator=Operator(paused=paused))  # type: ignore[arg-type]
    status = overview.status(lens(make_published(world=world)))
    assert status.state == state


def test_what_was_never_seen_has_no_age() -> None:
    looked = overview.status(lens(make_published(world=World(Observed(error="refused"), {}, {}))))
    assert [(one.source, one.age_seconds, one.error) for one in looked.observations] == [
        ("slurm", None, "refused"),
        ("cesnet", None, ""),
    ]
    assert {node.state for node in looked.nodes} == {"unknown"}


def test_a_clock_that_jumped_back_makes_no_negative_age() -> None:
    looked = Lens.of(hybrid(), ago(days=1))
    assert all((node.age_seconds or 0.0) >= 0 for node in views.nodes(looked).nodes)


def test_jobs_that_wait_for_the_same_are_counted_together_tasks_each() -> None:
    jobs = [make_job("1"), make_job("2_[1-9]", count=2, count_pending=9), make_job("3"), make_job("4", "RUNNING")]
    outlooks = {job.id: Outlook(job.id, Verdict.STARTING, "2 nodes start", "cpu") for job in jobs}
    outlooks["3"] = Outlook("3", Verdict.BLOCKED, "no quota left", "cpu")
    looked = overview.status(lens(make_published(world=make_world([], jobs), plan=Plan(outlooks=outlooks))))
    assert [(one.verdict, one.jobs, one.example) for one in looked.jobs_waiting] == [
        ("blocked", 1, "3"),
        ("starting", 10, "1"),
    ]
    assert looked.pools[0].jobs_waiting == 11


def test_groups_of_one_pool_are_told_apart_by_verdict_alone() -> None:
    jobs = [make_job("1"), make_job("2")]
    outlooks = {one: Outlook(one, Verdict.BLOCKED, f"why {one}", "cpu") for one in ("1", "2")}
    looked = overview.status(lens(make_published(world=make_world([], jobs), plan=Plan(outlooks=outlooks))))
    assert len(looked.jobs_waiting) == 2
    assert [(one.jobs, one.example) for one in looked.pools[0].waiting] == [(2, "1")]


def test_every_verdict_has_its_place_in_the_order() -> None:
    assert set(overview.URGENCY) == {verdict.value for verdict in Verdict}


def test_a_screen_lists_at_most_so_many_nodes_the_interesting_first() -> None:
    looked = overview.status(lens(hybrid()), most_nodes=3)
    assert [node.state for node in looked.nodes] == ["held", "disabled", "failed"]
    assert looked.nodes_not_off == 10


def test_a_site_tells_what_rests_and_only_what_still_rests() -> None:
    aws = {one.name: one for one in sites.sites(lens(hybrid())).sites}["aws"]
    assert [(one.offer, one.again_seconds) for one in aws.resting] == [("aws/g5.2xlarge/spot", 40.0)]
    later = {one.name: one for one in sites.sites(Lens.of(hybrid(), ahead(minutes=5))).sites}["aws"]
    assert later.resting == ()


def test_a_site_tells_when_its_credentials_end_and_which_prices_cannot_be_reckoned_with() -> None:
    looked = lens(haggled())
    found = {one.name: one for one in sites.sites(looked).sites}
    assert found["aws"].credentials_seconds == 20 * 3600
    assert found["cesnet"].warnings == ()
    assert found["aws"].warnings == ("its credentials end in 20 h",)
    assert "`rates:` has no USD" in found["upv"].warnings[0]
    assert "site aws: its credentials end in 20 h" in overview.status(looked).troubles


def test_a_planned_vm_costs_nothing_yet() -> None:
    offer = make_offer(price_per_hour=2.0)
    claims = [
        make_claim("cpu-1", ClaimState.PLANNED, offer=offer),
        make_claim("cpu-2", ClaimState.BOOTING, offer=offer),
    ]
    looked = lens(make_published(world=make_world([make_node()], (), claims)))
    assert views.node(looked, "cpu-1").cost_per_hour is None
    assert sites.sites(looked).sites[0].cost_per_hour == 2.0


def test_the_cursor_of_no_events_is_the_one_that_was_given() -> None:
    assert views.events([], 17).last == 17
    assert views.events([make_note(18), make_note(20)], 17).last == 20


def test_a_pending_job_comes_with_its_forecast_and_running_ones_only_if_asked_for() -> None:
    looked = lens(hybrid())
    pending = {job.id: job for job in views.jobs(looked, pending_only=True).jobs}
    assert pending.keys() == {"4240_[1-2]", "4242", "4250"}
    assert pending["4242"].waits_for == "running jobs of gpu"
    assert (pending["4242"].start_early_seconds, pending["4242"].start_late_seconds) == (38 * 60, 75 * 60)
    assert pending["4250"].start_late == ""
    assert len(views.jobs(looked).jobs) == 7
