"""The demo's cluster on a real OpenStack: jobs run on its servers, which come and go. In the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.frontend import wait_for
from tests.lab.openstack_real import OpenStack
from tests.lab.openstack_real.cluster import OpenStackCluster

pytestmark = pytest.mark.timeout(1800)

#: on a machine that has other work to do
PATIENCE = 600.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    with OpenStack(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def cluster(cloud: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStackCluster]:
    with OpenStackCluster(tmp_path_factory.mktemp("cluster"), cloud) as cluster:
        yield cluster


def test_jobs_run_on_servers_that_come_and_go(cluster: OpenStackCluster) -> None:
    jobs = [cluster.front.sbatch("hostname", "--cpus-per-task=4", "--time=30") for _ in range(4)]
    for job in jobs:
        cluster.front.wait_job(job, "COMPLETED", timeout=PATIENCE)
    hosts = {(cluster.home / f"slurm-{job}.out").read_text().strip() for job in jobs}
    assert all(host.startswith("cpu-") for host in hosts)
    expect_nothing_left(cluster)


def test_a_gpu_that_no_host_has_is_told_as_no_capacity_and_the_others_are_used(cluster: OpenStackCluster) -> None:
    jobs = [
        cluster.front.sbatch("sleep 20", "--partition=gpu", "--gpus=a10:1", "--cpus-per-task=4", "--time=30")
        for _ in range(3)
    ]
    for job in jobs:
        cluster.front.wait_job(job, "COMPLETED", timeout=PATIENCE)
    assert "No valid host was found" in cluster.daemon_log(1000)
    expect_nothing_left(cluster)


def test_nova_killed_while_the_cluster_grows_costs_no_job_and_no_server(cluster: OpenStackCluster) -> None:
    before = len(cluster.claims())
    jobs = [cluster.front.sbatch("sleep 5", "--cpus-per-task=4", "--time=30") for _ in range(12)]

    def in_the_middle() -> bool | None:
        launched = [bool(claim.instance_id) for claim in cluster.claims()[before:]]
        return True if any(launched) and not all(launched) else None

    wait_for("the first of several launches to be answered", in_the_middle, PATIENCE, cluster.daemon_log)
    cluster.cloud.kill("nova")
    cluster.cloud.restart("nova")
    for job in jobs:
        cluster.front.wait_job(job, "COMPLETED", timeout=PATIENCE)
    claims = cluster.claims()[before:]
    assert any(claim.launches > 1 for claim in claims), "nova was killed too late: no launch was repeated"
    expect_nothing_left(cluster)


@pytest.mark.slow
def test_twenty_servers_grow_and_go(cluster: OpenStackCluster) -> None:
    jobs = [cluster.front.sbatch("sleep 60", "--cpus-per-task=4", "--time=30") for _ in range(20)]
    most = 0

    def done() -> bool | None:
        nonlocal most
        most = max(most, len(cluster.booter.living()))
        states = [cluster.front.job_state(job) for job in jobs]
        return True if states.count("COMPLETED") == len(jobs) else None

    wait_for("all jobs to be done", done, 2 * PATIENCE, cluster.daemon_log)
    assert most > 10
    expect_nothing_left(cluster)


def expect_nothing_left(cluster: OpenStackCluster) -> None:
    """Wait until every node is off; no server, no port and no VM may be left."""
    cluster.wait_empty(PATIENCE)
    wait_for("the ports to be gone", lambda: None if cluster.cloud.user.ports() else True, PATIENCE)
