"""What is booked is shared out to jobs, and adds up to what is booked, whatever the accounting lacks."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clues.api import records
from clues.model import Claim, JobUse, Kind, Market, Share, SpentRow
from clues.planner.money.sharing import share_out
from tests.unit.builders import GPU_SHAPE, NOW, ago, make_claim, make_offer

HOUR = NOW - timedelta(hours=1)
PRICED = make_offer("aws", "c7i", market=Market.SPOT, price_per_hour=0.8)


def vm(node: str = "cpu-1", **more: Any) -> Claim:
    times = {"launched_at": ago(hours=3), "used_at": ago(hours=3), "account": "physics"}
    return make_claim(node, **{"offer": PRICED, **times, **more})


def run(job: str = "1", minutes: float = 60, cpus: int = 8, **more: Any) -> JobUse:
    """A job that ran in the hour from its beginning on."""
    values = {"user": "alice", "account": "physics", "qos": "normal", "nodes": ("cpu-1",), "begin": HOUR}
    return JobUse(**{"job": job, "end": HOUR + timedelta(minutes=minutes), "cpus": cpus, **values, **more})


def row(amount: float = 0.8, account: str = "physics", pool: str = "cpu") -> SpentRow:
    return SpentRow(HOUR, pool, "aws", account, amount)


def told(rows: list[SpentRow], claims: list[Claim], uses: list[JobUse]) -> dict[tuple[str, str, str], float]:
    found: Counter[tuple[str, str, str]] = Counter()
    for share in share_out(rows, claims, uses, NOW):
        found[share.use, share.user, share.job] += share.amount  # type: ignore[assignment]
    return {key: round(amount, 6) for key, amount in found.items()}


def test_a_job_that_has_a_vm_alone_pays_for_all_of_it() -> None:
    assert told([row()], [vm()], [run(cpus=2)]) == {("job", "alice", "1"): 0.8}


def test_jobs_share_by_their_cpus_and_their_time() -> None:
    uses = [run("1", cpus=4), run("2", cpus=2, user="bob"), run("3", 30, 4, user="bob")]
    assert told([row()], [vm()], uses) == {
        ("job", "alice", "1"): 0.4,
        ("job", "bob", "2"): 0.2,
        ("job", "bob", "3"): 0.2,
    }


def test_a_part_of_the_gpus_counts_where_it_is_more_than_that_of_the_cpus() -> None:
    uses = [run("1", cpus=1, gpus=1, nodes=("gpu-1",)), run("2", cpus=4, nodes=("gpu-1",))]
    machine = vm("gpu-1", shape=GPU_SHAPE)
    assert told([row(0.9, pool="gpu")], [machine], uses) == {("job", "alice", "1"): 0.6, ("job", "alice", "2"): 0.3}


def test_a_job_on_several_nodes_holds_its_part_of_each() -> None:
    uses = [run("1", cpus=8, nodes=("cpu-1", "cpu-2")), run("2", cpus=4, nodes=("cpu-1",))]
    assert told([row(1.5)], [vm(), vm("cpu-2")], uses) == {("job", "alice", "1"): 1.0, ("job", "alice", "2"): 0.5}


def test_only_jobs_of_the_account_and_in_the_hour_pay() -> None:
    uses = [run("1"), run("2", account="art", user="bob"), run("3", begin=ago(hours=9), end=ago(hours=8))]
    assert told([row(0.5), row(0.3, "art")], [vm()], uses) == {("job", "alice", "1"): 0.5, ("job", "bob", "2"): 0.3}


def test_dearer_vms_weigh_more() -> None:
    dear = vm("cpu-2", offer=make_offer("aws", "p5", price_per_hour=2.4))
    uses = [run("1"), run("2", nodes=("cpu-2",), user="bob")]
    assert told([row(3.2)], [vm(), dear], uses) == {("job", "alice", "1"): 0.8, ("job", "bob", "2"): 2.4}


def test_a_start_is_paid_by_the_job_that_it_was_for() -> None:
    fresh = vm(launched_at=HOUR, used_at=HOUR + timedelta(minutes=15), jobs=("7",))
    uses = [run("1", begin=HOUR + timedelta(minutes=15), end=NOW), run("7", user="carol", begin=NOW, end=None)]
    assert told([row()], [fresh], uses) == {("job", "alice", "1"): 0.6, ("job", "carol", "7"): 0.2}
    never_used = vm(launched_at=HOUR, used_at=None, jobs=("9",))
    assert told([row()], [never_used], []) == {("unknown", "", "9"): 0.8}


def test_what_nobody_used_is_idle_at_the_market_where_it_stood_idle() -> None:
    plain = vm("cpu-2", offer=make_offer("aws", "c7i", price_per_hour=0.8))
    shares = list(share_out([row(0.6, "")], [vm(), plain], [run("1", 30)], NOW))
    assert [(one.use, one.market, round(one.amount, 6)) for one in shares] == [
        ("idle", "spot", 0.2),
        ("idle", "on-demand", 0.4),
    ]


def test_a_router_is_a_router() -> None:
    router = vm("router-aws", kind=Kind.ROUTER, pool="")
    assert told([row(0.05, "", "")], [router], []) == {("router", "", ""): 0.05}


def test_what_the_accounting_lacks_is_unknown_and_not_lost() -> None:
    assert told([row()], [vm()], []) == {("unknown", "", ""): 0.8}
    assert told([row()], [], []) == {("unknown", "", ""): 0.8}
    assert told([row(account="")], [], []) == {("idle", "", ""): 0.8}


# --- whatever there is, it adds up -------------------------------------------------------------------------------

_MOMENTS = st.integers(0, 300).map(lambda minutes: NOW - timedelta(minutes=minutes))
_NODES = st.sampled_from(["cpu-1", "cpu-2", "cpu-3"])
_ACCOUNTS = st.sampled_from(["", "physics", "art"])


def _use(job: int, nodes: list[str], account: str, user: str, begin: datetime, length: int, cpus: int) -> JobUse:
    end = begin + timedelta(minutes=length)
    return JobUse(
        str(job), user, account, "normal", tuple(dict.fromkeys(nodes)), begin, end if end < NOW else None, cpus
    )


USES = st.lists(
    st.builds(
        _use,
        st.integers(1, 6),
        st.lists(_NODES, min_size=1, max_size=3),
        _ACCOUNTS,
        st.sampled_from(["alice", "bob"]),
        _MOMENTS,
        st.integers(0, 200),
        st.integers(0, 16),
    ),
    max_size=6,
)
CLAIMS = st.lists(
    st.builds(
        lambda node, launched, used, price, account: vm(
            node,
            launched_at=launched,
            used_at=used,
            offer=make_offer("aws", "c7i", price_per_hour=price),
            account=account,
            jobs=("1",) if account else (),
        ),
        _NODES,
        _MOMENTS,
        st.none() | _MOMENTS,
        st.sampled_from([0.0, 0.013, 1.7]),
        _ACCOUNTS,
    ),
    max_size=4,
)
ROWS = st.lists(
    st.builds(
        lambda hours, pool, account, amount: SpentRow(NOW - timedelta(hours=hours), pool, "aws", account, amount),
        st.integers(0, 6),
        st.sampled_from(["", "cpu"]),
        _ACCOUNTS,
        st.floats(0, 5000, allow_nan=False),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, CLAIMS, USES)
def test_shares_add_up_to_the_ledger_to_the_cent_by_whatever_they_are_told_apart(
    rows: list[SpentRow], claims: list[Claim], uses: list[JobUse]
) -> None:
    booked = [Share(one.hour, one.pool, one.site, one.account, one.amount) for one in rows]
    shares = list(share_out(rows, claims, uses, NOW))
    assert all(share.amount >= -1e-9 for share in shares)
    ledger = records.cost(booked, ["pool"], ago(hours=9), NOW, NOW.tzinfo, "EUR")  # type: ignore[arg-type]
    for by in ("user", "job", "qos", "market", "account", "pool", "site", "month"):
        answer = records.cost(shares, [by], ago(hours=9), NOW, NOW.tzinfo, "EUR")  # type: ignore[arg-type]
        assert answer.total == pytest.approx(ledger.total, abs=2e-4)
        assert sum(one.amount for one in answer.rows) == pytest.approx(answer.total, abs=1e-6)
    by_account = {one.account: one.amount for one in records.cost(shares, ["account"], HOUR, NOW, NOW.tzinfo, "").rows}  # type: ignore[arg-type]
    for one in records.cost(booked, ["account"], HOUR, NOW, NOW.tzinfo, "").rows:  # type: ignore[arg-type]
        assert by_account[one.account] == pytest.approx(one.amount, abs=2e-4)
