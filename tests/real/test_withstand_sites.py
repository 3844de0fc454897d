"""A site that cannot be listed: nothing there is ended, nothing is bought there, the others go on, and it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

STALE_AFTER = 3


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    pace = {"stale_after": f"{STALE_AFTER}s", "look": "1s", "listing": "1s"}
    with trial(tmp_path_factory.mktemp("sites"), pace, cpu_nodes="cpu-[01-06]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle()


def test_a_site_that_was_never_listed_gets_no_vm_and_the_other_is_used(cluster: Trial) -> None:
    cluster.stop_daemon()
    cluster.faults("cesnet").add("list", "api-error", times=None)
    cluster.start_daemon()
    before = len(cluster.launched("cesnet"))
    (run,) = cluster.completes(cluster.submit())
    assert cluster.last_claim(run.node).offer.site == "upv"
    pinned = cluster.submit("--constraint=cesnet")
    cluster.until("the pinned job to be blocked", lambda: cluster.verdict(pinned) == "blocked")
    assert len(cluster.launched("cesnet")) == before
    assert "503" in cluster.observation("cesnet")["error"]
    assert "503" in cluster.explain("cesnet")
    assert "cannot be listed" in cluster.explain(pinned)
    cluster.faults("cesnet").clear()
    cluster.completes(pinned)
    assert not cluster.observation("cesnet")["error"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("truncated", "ended in the middle", marks=pytest.mark.slow),
        pytest.param("auth", "refused", marks=pytest.mark.slow),
    ],
)
def test_a_vm_at_a_site_that_cannot_be_listed_any_more_goes_on(cluster: Trial, fault: str, words: str) -> None:
    job = cluster.submit("--constraint=cesnet", seconds=STALE_AFTER + 4)
    cluster.front.wait_job(job, "RUNNING")
    vms = cluster.living()
    cluster.faults("cesnet").add("list", fault, times=None)
    cluster.until("the listing to be too old", lambda: cluster.observation("cesnet")["age_seconds"] > STALE_AFTER + 1)
    assert words in cluster.observation("cesnet")["error"]
    other = cluster.submit("--cpus-per-task=4")
    (run,) = cluster.completes(other)
    assert cluster.last_claim(run.node).offer.site == "upv"
    assert set(vms) <= set(cluster.living())
    assert len(cluster.completes(job)) == 1
