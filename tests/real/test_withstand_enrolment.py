"""Enrolment on a whole cluster: a stolen ticket, a false address, an eviction, processes that are away meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator

import pytest

from clues.bootstrap.tickets import Tickets
from clues.bootstrap.tls import client_context
from clues.bootstrap.trust import TrustStore
from clues.config import load
from clues.inventory import Reader
from clues.model import Claim, ClaimState
from clues.registry import find_plugins
from tests.real.withstand_lab import Trial, trial
from tests.unit.bootstrap.lab import make_request

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("enrolment"), cpu_nodes="cpu-[01-04]", boot_time="2s") as cluster:
        yield cluster


def try_ticket(cluster: Trial, claim: Claim) -> int:
    """Bring a claim's ticket with a new key, from the front-end's own address; the answer's status."""
    loaded = load(cluster.config, find_plugins())
    at, places = loaded.enrolment_address, loaded.places
    ticket = Tickets.open(cluster.state).issue(claim.key)
    body = f"csr={make_request()[1]}\nCPUS=4\nMEMORY_MIB=4096\nGPUS=\nCLOCK={int(time.time())}\n".encode()
    context = client_context(TrustStore(places.trust).bundle())
    connection = http.client.HTTPSConnection(at.host, at.port, timeout=20, context=context)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/enrol", body, {"Authorization": f"Ticket {ticket}"})
        return connection.getresponse().status


def booting(cluster: Trial, job: int) -> Claim:
    """The claim of a job, once its VM is there and has not enrolled yet."""

    def found() -> list[Claim]:
        return [one for one in cluster.claims_for(job) if one.state is ClaimState.BOOTING]

    return cluster.until("the VM to boot", found)[0]


def test_a_ticket_from_another_address_gets_nothing_and_its_vm_gets_in(cluster: Trial) -> None:
    job = cluster.submit()
    claim = booting(cluster, job)
    assert claim.address.startswith("10.77.1.")
    assert try_ticket(cluster, claim) == 403
    cluster.completes(job)
    assert len(cluster.claims_for(job)) == 1
    cluster.settle()


def test_a_stolen_ticket_ends_its_claim_and_the_job_runs_on_another_vm(cluster: Trial) -> None:
    job = cluster.submit(seconds=3)
    cluster.running(job)
    (claim,) = cluster.claims_for(job)
    assert try_ticket(cluster, claim) == 403
    after = cluster.until(
        "the claim to fail", lambda: [one for one in cluster.claims() if one.key == claim.key and one.failure]
    )
    assert [one.failure for one in after] == ["stolen"]
    assert Reader(cluster.state / "inventory.json").read().member(claim.key) is None
    assert any("another key" in text for text in cluster.texts(claim.node))
    cluster.completes(job, timeout=60)
    runs = cluster.runs(job)
    assert runs[-1].address != claim.address
    cluster.until("the VM to be gone", lambda: claim.instance_id not in cluster.processes(claim.offer.site))
    cluster.settle()


def test_an_evicted_vm_leaves_the_inventory_at_once_and_is_ended(cluster: Trial) -> None:
    job = cluster.submit(seconds=30)
    cluster.running(job)
    (claim,) = cluster.claims_for(job)
    reader = Reader(cluster.state / "inventory.json")
    assert reader.read().member(claim.key) is not None
    began = time.monotonic()
    cluster.post("vrouter/evict", {"name": claim.node})
    assert reader.read().member(claim.key) is None
    assert time.monotonic() - began < 1
    cluster.until("the VM to be gone", lambda: claim.instance_id not in cluster.processes(claim.offer.site))
    cluster.settle()


@pytest.mark.parametrize("away", ["signer", "enrol", "cluesd"])
def test_a_vm_that_boots_while_a_process_is_away_gets_in_when_it_is_back(cluster: Trial, away: str) -> None:
    job = cluster.submit()
    booting(cluster, job)
    cluster.kill(away)
    time.sleep(4)  # the VM is up and has been refused, or heard nobody
    cluster.start_process(away)
    cluster.completes(job, timeout=60)
    assert len(cluster.claims_for(job)) == 1
    cluster.settle()


def test_without_a_ca_nothing_is_launched_and_that_is_told_until_the_signer_is_there(cluster: Trial) -> None:
    trust = cluster.state / "trust"
    cluster.kill("signer")
    trust.rename(trust.with_name("away"))
    try:
        launched = cluster.asked_for()
        job = cluster.submit()
        cluster.until("its trouble", lambda: any("start clues-signer" in one for one in cluster.status()["troubles"]))
        cluster.ticks_pass(3)
        assert cluster.asked_for() == launched
    finally:
        trust.with_name("away").rename(trust)
        cluster.start_process("signer")
    cluster.completes(job, timeout=60)
    assert not any("clues-signer" in one for one in cluster.status()["troubles"])
    cluster.settle()
