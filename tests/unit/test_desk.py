"""The desk that the signer asks: strict about what it is handed, and nothing of it is kept but what has to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.bootstrap import provision
from clues.bootstrap.tickets import Tickets
from clues.daemon import Daemon
from clues.desk import Desk
from clues.errors import AuthFailed, CluesError, InvalidRequest, LrmsError, Transient
from clues.ledger import Commit, open_ledger
from clues.model import Claim, ClaimState, Gpu
from clues.ports import Provision, Secret
from clues.reconciler import Books, Counter, Reconciler
from tests.unit.builders import make_claim
from tests.unit.planner.toy import World
from tests.unit.planner.toy_daemon import CLUSTER, ToyOverlay

T = TypeVar("T")
IDENTITY = "ab" * 32
FACTS = {"cpus": 8, "memory_mib": 30720, "gpus": "a10:1", "clock": 1893456000, "clock_skew_seconds": 0.25}
GIVEN = Provision(
    files=(("/etc/slurm/x", 0o644, b"\x00\xff"),),
    settings={"HOSTNAME": "cpu-1"},
    services=("munge", "slurmd"),
    secrets=(Secret("munge", "/etc/munge/munge.key", 0o400),),
    mounts=(("10.77.0.1:/home", "/home", "nfs4", "nosuid"),),
)


class Here:
    """Stands for the daemon: what it is asked to do is done at once."""

    asked = 0

    def ask(self, call: Callable[[], T]) -> T:
        self.asked += 1
        return call()


class Lab:
    def __init__(self, folder: Path) -> None:
        world = World(1, faults=False)
        self.ledger = open_ledger(folder / "ledger.db")
        self.books = Books(self.ledger, world.clock.now())
        reconciler = Reconciler(CLUSTER, world.settings, self.books, world.observer, ToyOverlay(), world.clock)
        counter = Counter(reconciler, self.books, world.observer, world.clock)
        self.tickets, self.here = Tickets.open(folder / "state"), Here()
        self.provided: list[Claim] = []
        self.trouble: Exception | None = None
        self.desk = Desk(cast(Daemon, self.here), counter, self.tickets, self._provide)
        now = world.clock.now()
        self.claim = make_claim(state=ClaimState.BOOTING, launched_at=now, since=now, address="10.77.1.10")
        self.books.commit(Commit(claims=(self.claim,)))

    def _provide(self, claim: Claim) -> Provision:
        self.provided.append(claim)
        if self.trouble is not None:
            raise self.trouble
        return GIVEN

    def call(self, **changes: Any) -> dict[str, Any]:
        asked = {
            "ticket": self.tickets.issue(self.claim.key),
            "identity": IDENTITY,
            "fingerprint": "",
            "address": "10.77.1.10",
            "facts": FACTS,
        }
        return self.desk.redeem({**asked, **changes}, 0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_good_ticket_is_answered_with_what_its_vm_needs(lab: Lab) -> None:
    answer = lab.call()
    assert (answer["key"], answer["kind"], answer["node"]) == (lab.claim.key, "worker", "cpu-1")
    assert provision.from_wire(answer["provision"]) == GIVEN
    (claim,) = lab.provided
    assert claim.identity == IDENTITY
    assert claim.facts is not None
    assert claim.facts.gpus.gpus == (Gpu("a10", 1),)


def test_neither_a_ticket_nor_a_secret_is_in_the_ledger(lab: Lab, tmp_path: Path) -> None:
    ticket = lab.tickets.issue(lab.claim.key)
    lab.call()
    lab.ledger.close()
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert IDENTITY.encode() in content
    assert ticket.rpartition(".")[2].encode() not in content


def test_a_false_ticket_does_not_trouble_the_daemon(lab: Lab) -> None:
    for ticket in (lab.tickets.issue(lab.claim.key)[:-3] + "AAA", "cpu-1-1.x", "", "é"):
        with pytest.raises(AuthFailed):
            lab.call(ticket=ticket)
    assert lab.here.asked == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"identity": "AB" * 32},
        {"identity": ""},
        {"identity": 7},
        {"fingerprint": "AA:BB"},
        {"facts": {**FACTS, "gpus": "a10"}},
        {"facts": {**FACTS, "cpus": -1}},
        {"facts": {**FACTS, "clock_skew_seconds": float("nan")}},
    ],
)
def test_a_malformed_call_changes_nothing(lab: Lab, wrong: dict[str, Any]) -> None:
    with pytest.raises((InvalidRequest, ValueError)):
        lab.call(**wrong)
    assert lab.books.claims[lab.claim.key] == lab.claim


def test_what_the_front_end_lacks_lets_the_vm_come_again(lab: Lab) -> None:
    lab.trouble = LrmsError("slurmctld does not answer")
    with pytest.raises(Transient, match="slurmctld"):
        lab.call()
    lab.trouble = None
    assert lab.call()["node"] == "cpu-1"


def test_a_report_comes_by_ticket_or_by_the_key_that_the_front_has_seen(lab: Lab) -> None:
    asked = {"key": "", "address": "10.77.1.10", "text": "x\x1b[2J"}
    lab.desk.report({**asked, "ticket": lab.tickets.issue(lab.claim.key), "kind": "started"}, 0)
    lab.desk.report({**asked, "ticket": "", "key": lab.claim.key, "kind": "failed"}, 0)
    assert lab.books.claims[lab.claim.key].state is ClaimState.FAILED
    assert "x?[2J" in lab.books.claims[lab.claim.key].reason
    with pytest.raises(AuthFailed):
        lab.desk.report({**asked, "ticket": "cpu-1-1.x", "kind": "started"}, 0)
    with pytest.raises(InvalidRequest):
        lab.desk.report({**asked, "ticket": "", "key": lab.claim.key, "kind": "whatever"}, 0)


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just({}) | st.just([])
)


@given(st.dictionaries(st.sampled_from(["ticket", "identity", "fingerprint", "address", "facts"]), VALUES))
def test_garbage_is_a_typed_error_and_nothing_else(asked: dict[str, Any]) -> None:
    desk = Desk(cast(Daemon, Here()), cast(Counter, None), Tickets(b"k" * 32), lambda _: GIVEN)
    with pytest.raises((CluesError, KeyError, TypeError, ValueError)):  # as clues.rpc answers them
        desk.redeem(asked, 0)
