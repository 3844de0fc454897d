"""A site is emptied for its maintenance on a real Slurm: nobody's job is killed, and it is used again afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.test_withstand_operator import ordered
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("maintenance"), cpu_nodes="cpu-[01-04]") as cluster:
        yield cluster


def test_what_runs_goes_on_and_what_comes_goes_elsewhere(cluster: Trial) -> None:
    here = cluster.submit("--exclusive", seconds=12)
    first = cluster.running(here)
    site = cluster.claim_at(first.address).offer.site
    (other,) = set(cluster.plan.vms) - {site}
    ordered(cluster, "maintenance", site, "--from", "+2h", "--to", "+1h", "--ahead", "3h")
    cluster.until("Slurm to close the node", lambda: "DRAIN" in cluster.front.node_flags(first.node))
    (there,) = cluster.completes(cluster.submit())
    assert cluster.claim_at(there.address).offer.site == other
    assert cluster.front.job_state(here) == "RUNNING"
    said = ordered(cluster, "maintenance", "list")
    assert "emptying" in said
    assert cluster.completes(here) == [first]
    cluster.wait_empty()
    assert "maintenance" in cluster.last_claim(first.node).reason

    assert not reserved(cluster)

    ordered(cluster, "maintenance", "cancel", "1")
    (again,) = cluster.completes(cluster.submit())
    assert cluster.claim_at(again.address).offer.site == site
    cluster.settle()


def reserved(cluster: Trial) -> str:
    """What Slurm has reserved."""
    text = cluster.front.run(["scontrol", "-o", "show", "reservation"]).stdout
    return "" if text.startswith("No reservations") else text


def test_short_jobs_use_its_nodes_until_it_begins_and_long_ones_go_elsewhere(cluster: Trial) -> None:
    """An endless job that waits does not close the site, as Slurm itself keeps it off."""
    first = cluster.running(cluster.submit("--exclusive", seconds=15))
    site = cluster.claim_at(first.address).offer.site
    (other,) = set(cluster.plan.vms) - {site}
    ordered(cluster, "maintenance", site, "--from", "+30min", "--to", "+1h")
    cluster.until("the reservation", lambda: f"Nodes={first.node} " in reserved(cluster))
    endless = cluster.front.sbatch("hostname -I >endless; sleep 0.3", "--time=60", f"--nodelist={first.node}")
    short = cluster.submit(f"--nodelist={first.node}")
    (run,) = cluster.completes(short)
    assert run.address == first.address
    assert "DRAIN" not in cluster.front.node_flags(first.node)
    assert cluster.front.job_state(endless) == "PENDING"
    cluster.wait_empty()
    cluster.until("the reservation to be gone", lambda: not reserved(cluster))
    cluster.completes(endless)
    address = (cluster.home / "endless").read_text().split()[0]
    assert cluster.claim_at(address).offer.site == other
    ordered(cluster, "maintenance", "cancel", "2")
    cluster.settle()


def test_a_job_that_it_finds_running_is_told_of_and_goes_on(cluster: Trial) -> None:
    job = cluster.submit(seconds=8)
    run = cluster.running(job)
    site = cluster.claim_at(run.address).offer.site
    ordered(cluster, "maintenance", site, "--from", "now", "--to", "+1h")
    cluster.until("the alarm", lambda: [text for text in cluster.texts(site) if f"still run there: {job} (" in text])
    assert cluster.completes(job) == [run]
    cluster.wait_empty()
    assert "on" in ordered(cluster, "maintenance", "list").split()
    waiting = cluster.submit(f"--constraint={site}")
    cluster.until("it to be blocked", lambda: cluster.verdict(waiting) == "blocked")
    assert "maintenance" in cluster.explain(waiting)
    ordered(cluster, "maintenance", "cancel", "3")
    cluster.completes(waiting)
    cluster.settle()
