"""The private network as people see it: unknown is not down, a trouble says what to do, and nobody is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clues.api import overview, vrouter, wire_vrouter
from clues.api.lens import Lens
from clues.errors import Transient
from clues.model import CaStatus, CaStep, ClaimState, OverlayStatus, Published, World
from tests.unit.api.joined import joined, make_ca, make_hub, make_router, make_shortcut, make_status, make_tunnel
from tests.unit.builders import NOW, ago, ahead, hybrid, make_claim, make_offer


def lens(published: Published) -> Lens:
    return Lens.of(published, NOW)


def states(published: Published) -> dict[str, str]:
    return {row.node: row.state for row in vrouter.tunnels(lens(published))}


def test_routers_and_direct_workers_have_a_row_and_workers_behind_a_router_none() -> None:
    rows = vrouter.tunnels(lens(joined()), make_ca().members)
    assert [(row.node, row.state, row.workers) for row in rows] == [
        ("router-ifca", "booting", 0),
        ("router-upv", "up", 3),
        ("cpu-030", "up", 0),
    ]
    upv = rows[1]
    assert (upv.real, upv.address, upv.received, upv.sent) == (
        "198.51.100.20:41194",
        "10.77.252.10",
        1_234_567,
        400_123,
    )
    assert upv.certificate_left_seconds == timedelta(days=25).total_seconds()


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (make_status(), "", "down"),
        (make_status(hubs=(make_hub(up=False),)), "", "unknown"),
        (make_status(hubs=(make_hub(up=False), make_hub("spare"))), "", "down"),
        (make_status(taken_at=ago(minutes=10)), "", "unknown"),
        (None, "status.json is missing", "unknown"),
        (make_status(make_tunnel(make_router()), hubs=(make_hub(up=False), make_hub("spare"))), "", "unknown"),
    ],
    ids=["a hub lacks it", "hub down", "one of two hubs up", "old news", "no news", "a silent hub's"],
)
def test_a_tunnel_is_down_only_by_the_word_of_a_central_point_that_is_up(
    status: OverlayStatus | None, error: str, word: str
) -> None:
    assert states(joined(status, error=error))["router-upv"] == word


def test_a_tunnel_of_no_live_claim_is_shown_as_leaving() -> None:
    stray = make_tunnel(make_router(generation=9))
    rows = vrouter.tunnels(lens(joined(make_status(stray), claims=[])))
    assert [(row.node, row.state) for row in rows] == [("router-upv-9", "leaving")]


def test_every_state_of_a_claim_has_a_word_that_is_documented() -> None:
    for state in ClaimState:
        if state is not ClaimState.GONE:
            assert states(joined(claims=[make_router(state=state)]))["router-upv"] in wire_vrouter.TUNNEL_STATES


def test_old_news_of_a_central_point_keeps_its_name_and_nothing_else() -> None:
    status = vrouter.status(lens(joined(make_status(make_tunnel(make_router()), taken_at=ago(minutes=10)))))
    assert [(hub.name, hub.state, hub.tunnels) for hub in status.hubs] == [("hub", "unknown", 0)]
    assert status.shortcuts == ()


def test_shortcuts_are_told_by_node_and_only_those_that_are_up_carry_traffic() -> None:
    upv, ifca = make_router(), make_router("ifca")
    for up, ways in ((True, ("router-ifca",)), (False, ())):
        status = make_status(make_tunnel(upv), make_tunnel(ifca), shortcuts=(make_shortcut(upv, ifca, up=up),))
        shown = vrouter.status(lens(joined(status, claims=[upv, ifca])))
        assert shown.shortcuts[0].nodes == ("router-upv", "router-ifca")
        assert next(row for row in shown.tunnels if row.node == "router-upv").shortcuts == ways


# --- one line for each site --------------------------------------------------------------------------------


def links(published: Published) -> dict[str, tuple[str, int, int, int]]:
    return {
        one.site: (one.state, one.workers, one.tunnels_up, one.tunnels)
        for one in overview.status(lens(published)).links
    }


def test_the_status_has_a_line_for_each_site_that_tunnels_join() -> None:
    assert links(joined()) == {"upv": ("up", 3, 1, 1), "ifca": ("booting", 0, 0, 1), "aws": ("up", 3, 1, 1)}
    assert links(hybrid()) == {}


def test_a_router_that_is_replaced_is_told_by_the_one_that_serves() -> None:
    old, new = make_router(state=ClaimState.STOPPING), make_router(generation=2)
    assert links(joined(make_status(make_tunnel(new)), claims=[old, new]))["upv"] == ("up", 0, 1, 2)
    coming = make_router(state=ClaimState.BOOTING, generation=2)
    assert links(joined(make_status(), claims=[old, coming]))["upv"][0] == "booting"


def test_one_direct_tunnel_that_is_down_is_told_among_many_that_are_up() -> None:
    workers = [make_claim(f"cpu-03{n}", offer=_aws(), tunnel=f"10.77.252.3{n}") for n in range(4)]
    status = make_status(*(make_tunnel(one) for one in workers[1:]))
    assert links(joined(status, claims=workers))["aws"][0] == "down"
    assert links(joined(status, claims=workers))["aws"][2:] == (3, 4)


def _aws() -> object:
    return make_claim("x", offer=replace(make_router().offer, site="aws")).offer


# --- troubles ----------------------------------------------------------------------------------------------


def test_all_well_is_no_trouble() -> None:
    assert vrouter.troubles(lens(joined())) == ()
    assert vrouter.troubles(lens(hybrid())) == ()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (make_status(hubs=(make_hub(up=False),)), "central point hub is down: systemctl status clues-hub"),
        (make_status(hubs=(make_hub(trouble="nft failed"),)), "central point hub: nft failed"),
        (
            make_status(hubs=(make_hub(crl_ends=ahead(days=1)),)),
            "list of central point hub ends in 24 hours",
        ),
        (make_status(hubs=(make_hub(crl_ends=ago(days=1)),)), "revocation list of central point hub has ended"),
        (make_status(hubs=(make_hub(certificate_ends=ahead(days=3)),)), "certificate of central point hub ends in 3"),
        (make_status(strangers=("upv: 10.77.2.99 (02:00:00:00:00:99)",)), "attach: direct"),
        (make_status(taken_at=ago(minutes=10)), "systemctl status clues-broker"),
    ],
)
def test_what_a_sysadmin_has_to_see_to_stands_in_both_screens(status: OverlayStatus, told: str) -> None:
    published = joined(status)
    assert any(told in one for one in vrouter.status(lens(published)).troubles)
    assert any(told in one for one in overview.status(lens(published)).troubles)


def test_a_certificate_that_nobody_renews_is_told_long_before_it_ends() -> None:
    told = vrouter.status(lens(joined()), {"router-upv-1": ahead(days=3), "cpu-030-1": ahead(days=12)}).troubles
    assert [one.partition(" and ")[0] for one in told] == ["the certificate of router-upv ends in 3 days"]


def test_without_a_tunnel_the_silence_of_the_broker_is_no_trouble() -> None:
    assert vrouter.troubles(lens(joined(error="status.json is missing", claims=[]))) == ()


@pytest.mark.parametrize(
    ("address", "mac", "ours"),
    [
        ("10.77.2.10", "02:00:00:00:00:10", True),
        ("10.77.2.10", "", True),  # not listed yet
        ("10.77.2.10", "02:00:00:00:00:66", False),  # somebody has taken its address
        ("10.77.2.11", "02:00:00:00:00:10", False),
        ("", "", False),
    ],
)
def test_a_vm_that_its_router_does_not_know_yet_is_no_stranger(address: str, mac: str, ours: bool) -> None:
    worker = make_claim("cpu-020", offer=make_offer("upv", "medium"), address=address, mac=mac)
    router = make_router()
    status = make_status(make_tunnel(router), strangers=("upv: 10.77.2.10 (02:00:00:00:00:10)",))
    looked = lens(joined(status, claims=[router, worker]))
    assert (vrouter.status(looked).strangers == ()) is ours
    assert (vrouter.troubles(looked) == ()) is ours


# --- names -------------------------------------------------------------------------------------------------


def test_a_vm_is_found_by_its_claim_or_as_the_youngest_of_its_node() -> None:
    old, new = make_router(state=ClaimState.STOPPING), make_router(generation=2)
    looked = lens(joined(claims=[old, new]))
    assert vrouter.find(looked, "router-upv") == new
    assert vrouter.find(looked, "router-upv-1") == old
    assert vrouter.find(looked, "gpu-01") is not None
    assert vrouter.find(looked, "gpu-16") is None
    serving, planned = make_router(), make_router(state=ClaimState.PLANNED, generation=2)
    assert vrouter.find(lens(joined(claims=[serving, planned])), "router-upv") == serving


# --- the CA ------------------------------------------------------------------------------------------------


def test_the_ca_is_shown_with_the_key_that_signs() -> None:
    shown = vrouter.ca(make_ca(), NOW)
    assert [(one.state, one.certificates) for one in shown.generations] == [("trusted", 0), ("signs", 7)]


GOOD = {
    "generations": [
        {
            "name": "ca-1",
            "since": "2026-03-02T14:00:00+00:00",
            "ends": "2036-03-02T14:00:00+00:00",
            "signs": True,
            "certificates": 3,
        }
    ],
    "crl_ends": "2026-03-09T14:00:00+00:00",
    "revoked": 1,
    "next": "a new key is added",
}


def test_the_signers_answer_is_read() -> None:
    read = CaStatus.from_answer(GOOD)
    assert (read.generations[0].since, read.crl_ends, read.revoked) == (NOW, ahead(days=7), 1)
    assert CaStatus.from_answer({**GOOD, "crl_ends": ""}).crl_ends is None
    assert CaStep.from_answer({"done": "a", "next": "b"}) == CaStep("a", "b")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {**GOOD, "crl_ends": "soon"},
        {**GOOD, "crl_ends": "2026-03-09T14:00:00"},
        {**GOOD, "revoked": None},
        {**GOOD, "generations": [{}]},
        {**GOOD, "generations": 1},
        {**GOOD, "members": ["router-upv-1"]},
        {**GOOD, "members": {"router-upv-1": None}},
    ],
)
def test_an_answer_of_another_form_is_told_as_such(answer: object) -> None:
    with pytest.raises(Transient, match="another version"):
        CaStatus.from_answer(answer)
    with pytest.raises(Transient, match="another version"):
        CaStep.from_answer(answer)


def test_the_least_world_has_no_network() -> None:
    published = hybrid()
    bare = replace(published, world=World(published.world.lrms, {}, {}))
    assert vrouter.status(lens(bare)).tunnels == ()
