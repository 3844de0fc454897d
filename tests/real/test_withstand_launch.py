"""Launches and boots that fail: the reason is kept, the next offer tried, the job waits in its place meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.model import ClaimState
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

BOOT_DEADLINE = 4


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    # an offer that failed rests until the test is over: the next one has to be tried
    pace = {"retry_offer": "60s", "retry_offer_longest": "60s"}
    pool = {"boot_deadline": f"{BOOT_DEADLINE}s", "join_deadline": "10s"}
    with trial(tmp_path_factory.mktemp("launch"), pace, pool=pool, cpu_nodes="cpu-[01-06]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    """Each test starts without what the one before taught the daemon about offers."""
    yield module_cluster
    module_cluster.settle()
    module_cluster.stop_daemon()
    for file in module_cluster.state.glob("ledger.db*"):
        file.unlink()
    module_cluster.start_daemon()


@pytest.mark.parametrize(
    ("fault", "failure", "words"),
    [("never-registers", "boot", "did not enrol"), ("boot-fails", "boot", "munge")],
)
def test_a_worker_that_does_not_come_is_stopped_and_the_next_offer_serves_the_job(
    cluster: Trial, fault: str, failure: str, words: str
) -> None:
    cluster.faults("cesnet").add("boot", fault)
    first = cluster.submit("--cpus-per-task=4")
    cluster.until("its VM", lambda: cluster.living())
    (vm,) = cluster.living()
    seen = cluster.until("the claim to fail", lambda: _state_when_failed(cluster, first), BOOT_DEADLINE + 10)
    assert seen == "PENDING", "the job was not left pending"
    (run,) = cluster.completes(first)
    bad, good = cluster.claims_for(first)
    assert (bad.offer.site, good.offer.site) == ("cesnet", "upv")
    assert bad.failure == failure
    assert words in bad.reason
    assert run.address == good.address
    assert vm not in cluster.living()
    assert words in " ".join(cluster.texts(bad.node))
    assert words in cluster.explain("cesnet")


@pytest.mark.parametrize(
    ("fault", "words"), [("no-capacity", "no valid host"), ("quota", "quota"), ("auth", "refused")]
)
def test_a_refused_launch_goes_to_the_next_offer(cluster: Trial, fault: str, words: str) -> None:
    cluster.faults("cesnet").add("launch", fault)
    job = cluster.submit()
    cluster.completes(job)
    bad, good = cluster.claims_for(job)
    assert (bad.offer.site, good.offer.site) == ("cesnet", "upv")
    assert (bad.failure, bad.state) == (fault, ClaimState.GONE)
    assert words in bad.reason


@pytest.mark.parametrize("fault", ["api-error", "timeout-after-effect"])
def test_a_launch_without_an_answer_is_repeated_with_its_key_and_makes_one_vm(cluster: Trial, fault: str) -> None:
    cluster.faults("cesnet").add("launch", fault)
    job = cluster.submit()
    (run,) = cluster.completes(job)
    (claim,) = cluster.claims_for(job)
    assert (claim.offer.site, claim.address) == ("cesnet", run.address)
    launches = cluster.launched("cesnet").count(claim.key)
    assert launches == (1 if fault == "timeout-after-effect" else 2)


@pytest.mark.slow
def test_a_throttled_launch_is_repeated_once_the_site_has_had_its_time(tmp_path: Path) -> None:
    pace = {"retry_offer": "2s", "retry_offer_longest": "2s"}
    with trial(tmp_path, pace, pool={"boot_deadline": "30s"}) as cluster:
        cluster.faults("cesnet").add("launch", "throttled")
        job = cluster.submit()
        (run,) = cluster.completes(job)
        (claim,) = cluster.claims_for(job)
        assert (claim.offer.site, claim.address) == ("cesnet", run.address)
        assert cluster.launched("cesnet").count(claim.key) == 2


def _state_when_failed(cluster: Trial, job: int) -> str:
    """What the job was a moment before its first claim was seen failed; empty until then."""
    state = cluster.front.job_state(job)
    failed = any(claim.failure for claim in cluster.claims_for(job))
    return state if failed else ""
