"""No secret is ever stored in the ledger."""

from __future__ import annotations

from pathlib import Path

from clues.ledger import Commit, open_ledger
from clues.model import ClaimState, Facts
from clues.reconciler import Books, Counter, Reconciler
from tests.unit.builders import make_claim
from tests.unit.planner.toy import World
from tests.unit.planner.toy_daemon import CLUSTER, ToyOverlay

CANARY = "canary-nonce-4711"


def test_of_an_enrolment_only_the_hash_of_the_nonce_is_kept(tmp_path: Path) -> None:
    world = World(1, faults=False)
    ledger = open_ledger(tmp_path / "ledger.db")
    books = Books(ledger, world.clock.now())
    reconciler = Reconciler(CLUSTER, world.settings, books, world.observer, ToyOverlay(), world.clock)
    counter = Counter(reconciler, books, world.observer, world.clock)
    claim = make_claim(state=ClaimState.BOOTING, launched_at=world.clock.now(), address="10.77.1.10")
    books.commit(Commit(claims=(claim,)))
    counter.redeem(claim.key, CANARY, "10.77.1.10", Facts(8, 30 * 1024))
    assert ledger.nonce_of(claim.key) not in (None, CANARY)
    ledger.close()
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"cpu-1" in content
    assert CANARY.encode() not in content
