"""Which nodes Slurm may use: every set of flags that was seen on Slurm 22.05, against what the claim says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.model import Bind, Claim, ClaimState, InstanceState, Mode, Node, Observed, Open, Pace, PowerOff, Resources
from tests.unit.builders import NOW, ago, make_claim, make_instance, make_node, make_pool, make_settings
from tests.unit.planner.deciding import (
    cluster,
    drained,
    effects,
    job,
    launched,
    listed,
    of,
    opened,
    plan,
    powered_off,
    terminated,
)

S = ClaimState


def node(flags: str, reason: str = "clues:off", **more: object) -> Node:
    return make_node("cpu-1", flags.split("+"), reason=reason, **more)


OFF_CLOSED, OFF_OPEN = "IDLE+CLOUD+DRAIN+POWERED_DOWN", "IDLE+CLOUD+POWERED_DOWN"

#: a node without a VM: flags, the drain that is ordered, whether it is powered off
UNCLAIMED = [
    (OFF_CLOSED, None, False),
    (OFF_OPEN, "clues:off", False),  # declared a moment ago, or slurmctld with an empty state: open, so close it
    ("DOWN+CLOUD+POWERED_DOWN", "clues:off", False),  # power_down has wiped DRAIN
    ("DOWN+CLOUD+DRAIN+POWERED_DOWN", None, False),
    ("DOWN+CLOUD+POWERING_DOWN", None, False),  # wait until it is seen powered down
    ("IDLE+CLOUD+POWERING_DOWN", None, False),
    ("IDLE+CLOUD+POWER_DOWN", None, False),
    ("DOWN+CLOUD", None, True),  # killed between `down` and `power_down`
    ("DOWN+CLOUD+DRAIN", None, True),
    ("DOWN+CLOUD+NOT_RESPONDING", None, True),
    ("IDLE+CLOUD", "clues:off", False),  # a slurmd lives whose VM is nobody's: closed first
    ("IDLE+CLOUD+DRAIN", None, True),
    ("ALLOCATED+CLOUD", None, False),  # a job runs there, whoever stands behind it
    ("ALLOCATED+CLOUD+POWERING_UP", None, False),
    ("IDLE+CLOUD+POWERED_DOWN+SHINY", None, False),  # a flag of next year
]


@pytest.mark.parametrize(("flags", "drain", "off"), UNCLAIMED)
def test_a_node_without_a_vm(flags: str, drain: str | None, off: bool) -> None:
    settings = make_settings([make_pool(count=1)])
    world = cluster((), (), settings, nodes=[node(flags)])
    # buying for a node that Slurm has allocated is the queue's business, not the doors'
    decided = plan(replace(world, operator=replace(world.operator, paused=True)), settings)
    assert drained(decided) == ({"cpu-1": drain} if drain else {})
    assert powered_off(decided) == (["cpu-1"] if off else [])
    assert opened(decided) == []


#: claim's state, flags, reason, what is ordered: drain reason / off / open
CLAIMED: list[tuple[ClaimState, str, str, str | None, bool, bool]] = [
    (S.LAUNCHING, OFF_CLOSED, "clues:off", None, False, False),
    (S.BOOTING, OFF_OPEN, "", "clues:starting", False, False),  # slurmctld lost its state while the VM boots
    (S.BOOTING, "IDLE+CLOUD", "", "clues:starting", False, False),  # registered and open before any check
    (S.BOOTING, "IDLE+CLOUD+DRAIN", "clues:off", None, False, False),
    (S.JOINING, "IDLE+CLOUD+POWERED_DOWN", "", "clues:starting", False, False),
    (S.READY, "IDLE+CLOUD+DRAIN", "clues:off", None, False, True),
    (S.READY, "DOWN+CLOUD", "clues:off", None, False, True),
    (S.READY, "DOWN+CLOUD", "Not responding", None, False, True),  # it answers again
    (S.READY, "IDLE+CLOUD+DRAIN", "broken fan [root]", None, False, False),  # an admin's word
    (S.READY, "IDLE+CLOUD", "", None, False, False),
    (S.READY, "DOWN+CLOUD+NOT_RESPONDING", "Not responding", None, False, False),
    (S.READY, "ALLOCATED+CLOUD", "", None, False, False),
    (S.DRAINING, "ALLOCATED+CLOUD", "", "clues:stopping", False, False),
    (S.DRAINING, "ALLOCATED+CLOUD+DRAIN", "clues:stopping", None, False, False),
    (S.DRAINING, "ALLOCATED+CLOUD+DRAIN", "broken fan [root]", None, False, False),
    (S.STOPPING, "IDLE+CLOUD+DRAIN", "clues:stopping", None, True, False),
    (S.STOPPING, "IDLE+CLOUD", "", "clues:stopping", False, False),  # undone: closed first, then off
    (S.STOPPING, "ALLOCATED+CLOUD+DRAIN+POWERING_UP", "clues:off", None, False, False),  # Slurm had given it a job
    (S.STOPPING, "DOWN+CLOUD", "clues:off", None, True, False),  # the daemon died between the two commands
    (S.STOPPING, "DOWN+CLOUD+POWERING_DOWN", "clues:off", None, False, False),
    (S.STOPPING, "DOWN+CLOUD+POWERED_DOWN", "clues:off", "clues:off", False, False),
    (S.STOPPING, OFF_OPEN, "", "clues:off", False, False),
    (S.STOPPING, "IDLE+CLOUD+DRAIN+SHINY", "clues:off", None, False, False),
]


@pytest.mark.parametrize(("state", "flags", "reason", "drain", "off", "open_"), CLAIMED)
def test_a_node_with_a_vm(
    state: ClaimState, flags: str, reason: str, drain: str | None, off: bool, open_: bool
) -> None:
    settings = make_settings([make_pool(count=1)])
    claim = make_claim(state=state, since=NOW, launched_at=NOW, launches=1, opened_at=None, terminated_at=NOW)
    decided = plan(cluster((), [claim], settings, nodes=[node(flags, reason)]), settings)
    assert drained(decided) == ({"cpu-1": drain} if drain else {})
    assert powered_off(decided) == (["cpu-1"] if off else [])
    assert opened(decided) == (["cpu-1"] if open_ else [])


def test_a_vm_that_vanished_under_a_job_takes_its_node_down_at_once() -> None:
    settings = make_settings([make_pool(count=1)])
    claim = make_claim(state=S.STOPPING, failure="vanished", since=NOW)
    busy = node("ALLOCATED+CLOUD", "")
    decided = plan(cluster((), [claim], settings, nodes=[busy]), settings)
    assert powered_off(decided) == ["cpu-1"]
    assert [action.vanished for action in of(decided, PowerOff)] == [True]


def test_an_admins_reason_is_never_written_over() -> None:
    held = node("IDLE+CLOUD+DRAIN+POWERED_DOWN", "broken fan [root]")
    assert effects(plan(cluster(nodes=[held]))) == []


def test_a_node_that_an_admin_held_comes_back_closed_with_their_reason() -> None:
    """power_down wipes DRAIN; the node must not come back into service by that."""
    claim = make_claim(state=S.STOPPING, held_by="broken fan [root]", since=NOW, terminated_at=NOW)
    world = cluster((), [claim], nodes=[node("DOWN+CLOUD+POWERED_DOWN", "broken fan [root]")])
    assert drained(plan(world)) == {"cpu-1": "broken fan [root]"}


def test_an_admin_who_releases_a_node_while_it_drains_has_released_it() -> None:
    claim = make_claim(state=S.DRAINING, held_by="broken fan [root]", since=ago(minutes=5))
    world = cluster((), [claim], nodes=[node("ALLOCATED+CLOUD", "")])
    assert "broken fan [root]" not in drained(plan(world)).values()


def test_nodes_outside_the_pools_are_left_alone() -> None:
    rack = make_node("rack-1", {"DOWN"}, reason="clues:looks like ours")
    assert effects(plan(cluster(nodes=[rack]))) == []


def test_an_eager_pools_nodes_stay_open_while_they_are_off() -> None:
    settings = make_settings([make_pool(count=1, mode=Mode.EAGER)])
    assert effects(plan(cluster((), (), settings, {"cpu-1": OFF_OPEN.split("+")}), settings)) == []


def test_an_eager_node_that_slurm_powers_up_gets_a_vm_and_is_not_drained() -> None:
    settings = make_settings([make_pool(count=1, mode=Mode.EAGER)])
    world = cluster((), (), settings, {"cpu-1": ["ALLOCATED", "CLOUD", "POWERING_UP"]})
    decided = plan(world, settings)
    assert len(launched(decided)) == 1
    assert drained(decided) == {}


def test_a_node_whose_site_cannot_be_listed_is_not_powered_off() -> None:
    world = cluster(nodes=[node("IDLE+CLOUD+DRAIN")])
    unseen = replace(world, listings={"cesnet": Observed(error="503")})
    assert powered_off(plan(unseen)) == []


def test_without_a_fresh_snapshot_no_door_is_touched() -> None:
    world = cluster((), [make_claim(state=S.STOPPING)], nodes=[node("IDLE+CLOUD+DRAIN")])
    blind = replace(world, lrms=replace(world.lrms, taken_at=ago(minutes=3)))
    assert effects(plan(blind)) == []


def test_the_nodes_of_a_gang_are_opened_in_one_command_of_their_own() -> None:
    claims = [make_claim(f"cpu-{n}", gang="7", gang_size=2) for n in (1, 2)] + [make_claim("cpu-3")]
    flags = {f"cpu-{n}": ["IDLE", "CLOUD", "DRAIN"] for n in (1, 2, 3)}
    commands = [action.nodes for action in of(plan(cluster((), claims, flags=flags)), Open)]
    assert sorted(commands) == [("cpu-1", "cpu-2"), ("cpu-3",)]


@pytest.mark.parametrize("reason", ["Prolog error", "Kill task failed", "Low RealMemory", "gres/gpu count"])
def test_a_node_that_slurm_drained_for_a_fault_is_not_opened_again(reason: str) -> None:
    claim = make_claim(opened_at=ago(minutes=20))
    decided = plan(cluster([job()], [claim], nodes=[node("IDLE+CLOUD+DRAIN", reason)]))
    assert opened(decided) == []


def test_a_node_is_bound_to_its_address_and_its_site() -> None:
    features = frozenset({"cpu", "cesnet", "upv"})
    lost = node("IDLE+CLOUD", "", features=features, active_features=features, address="10.77.0.250")
    decided = plan(cluster((), [make_claim()], nodes=[lost]))
    assert of(decided, Bind) == [Bind("cpu-1", "10.77.1.10", frozenset({"cpu", "cesnet"}))]


def test_a_bound_node_is_not_bound_again() -> None:
    features = frozenset({"cpu", "cesnet", "upv"})
    bound = node(
        "IDLE+CLOUD", "", features=features, active_features=frozenset({"cpu", "cesnet"}), address="10.77.1.10"
    )
    assert of(plan(cluster((), [make_claim()], nodes=[bound])), Bind) == []


# --- ending a VM -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "ended"),
    [
        ("IDLE+CLOUD+DRAIN", False),
        ("IDLE+CLOUD", False),
        ("DOWN+CLOUD", False),
        ("ALLOCATED+CLOUD+DRAIN", False),
        ("DOWN+CLOUD+POWERING_DOWN", True),
        ("DOWN+CLOUD+POWERED_DOWN", True),
        (OFF_CLOSED, True),
        ("DOWN+CLOUD+POWERING_DOWN+SHINY", False),
        ("ALLOCATED+CLOUD+POWERING_DOWN", False),
    ],
)
def test_a_vm_is_ended_only_when_slurm_can_start_nothing_on_it(flags: str, ended: bool) -> None:
    world = cluster((), [make_claim(state=S.STOPPING)], nodes=[node(flags)])
    assert terminated(plan(world)) == (["i-cpu-1"] if ended else [])


def test_a_node_in_use_by_cpu_count_is_busy_whatever_its_flags_say() -> None:
    world = cluster((), [make_claim(state=S.STOPPING)], nodes=[node("DOWN+CLOUD+POWERED_DOWN", used=Resources(1, 1))])
    assert terminated(plan(world)) == []


def test_a_vm_that_was_told_to_end_is_told_again_only_when_a_later_listing_shows_it() -> None:
    told = make_claim(state=S.STOPPING, terminated_at=ago(seconds=5))
    assert terminated(plan(cluster((), [told], nodes=[node(OFF_CLOSED)]))) == []
    long_ago = make_claim(state=S.STOPPING, terminated_at=ago(seconds=30))
    assert terminated(plan(cluster((), [long_ago], nodes=[node(OFF_CLOSED)]))) == ["i-cpu-1"]
    confirmed = replace(long_ago, confirmed_at=ago(seconds=29))
    assert terminated(plan(cluster((), [confirmed], nodes=[node(OFF_CLOSED)]))) == ["i-cpu-1"]
    unlisted = listed(cluster((), [confirmed], nodes=[node(OFF_CLOSED)]))
    assert terminated(plan(unlisted)) == []


def test_a_vm_whose_call_is_under_way_is_not_told_again() -> None:
    claim = make_claim(state=S.STOPPING)
    assert terminated(plan(cluster((), [claim], nodes=[node(OFF_CLOSED)], in_flight=frozenset({claim.key})))) == []


def test_a_vm_that_is_gone_is_not_told_to_end() -> None:
    claim = make_claim(state=S.STOPPING)
    world = listed(
        cluster((), [claim], nodes=[node("DOWN+CLOUD+POWERING_DOWN")]), make_instance(claim, state=InstanceState.GONE)
    )
    assert terminated(plan(world)) == []


def test_no_more_are_ended_in_a_tick_than_the_brake_allows() -> None:
    settings = make_settings([make_pool(count=6)], pace=Pace(destroys_per_tick=2))
    claims: list[Claim] = [make_claim(f"cpu-{n}", S.STOPPING) for n in range(1, 7)]
    assert len(terminated(plan(cluster((), claims, settings), settings))) == 2
