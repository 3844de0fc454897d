"""A worker from its boot to its end: hooks before its first job, and its end by itself when nobody is there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clues.bootstrap import wire
from connectors.local import machine
from connectors.local.network import cable_name
from tests.lab.cluster import Cluster, Plan
from tests.lab.frontend import wait_for
from tests.lab.hooked import SCRATCH, only_vm, run_inside, workers_section

pytestmark = pytest.mark.real

DEAD_MAN = 6


class HookedCluster(Cluster):
    """Workers with two hooks and a short patience."""

    def document(self) -> dict[str, Any]:
        return super().document() | {"workers": workers_section(self.folder / "hooks", f"{DEAD_MAN}s")}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    health = Path("/etc/slurm/health")  # the front-end's: the sandbox has an /etc of its own
    health.parent.mkdir(exist_ok=True)
    health.write_text("#!/bin/sh\ntouch /var/tmp/healthy\n")
    health.chmod(0o755)
    conf = f"HealthCheckProgram={health}\nHealthCheckInterval=2\n"
    plan = Plan(vms={"cesnet": 1}, cpu_nodes="cpu-01", gpu_nodes="gpu-01", idle="10min", slurm_conf=conf)
    try:
        with HookedCluster(tmp_path_factory.mktemp("boot"), plan) as cluster:
            yield cluster
    finally:
        health.unlink()
        health.parent.rmdir()


def test_hooks_have_run_before_a_job_comes_and_are_told_with_how_they_ended(cluster: Cluster) -> None:
    job = cluster.front.sbatch(f"cat {SCRATCH}/made-for")
    cluster.front.wait_job(job, "COMPLETED", timeout=40)
    assert (cluster.home / f"slurm-{job}.out").read_text() == "cpu-01\n"
    (claim,) = cluster.claims()
    notes = [one["text"] for one in cluster.get("events", about=claim.key)["events"]]
    (told,) = [text.removeprefix("started ") for text in notes if text.startswith("started")]
    started = wire.parse_started(told)
    assert [(run.name, run.code, run.words) for run in started.hooks] == [
        ("scratch", 0, ""),
        ("apps", 3, "no such repository"),
    ]
    assert all(run.seconds < 10 for run in started.hooks)
    assert started.warnings == ()
    assert any(line.startswith("slurmd 2") for line in started.others)


def test_a_program_of_slurm_conf_goes_along_and_slurmd_runs_it(cluster: Cluster) -> None:
    vm = only_vm(cluster)
    wait_for("the health check", lambda: True if (vm / "var/tmp/healthy").exists() else None, 15)
    assert "SLURM_PROGRAMS /etc/slurm/health" in next((vm / "var/lib/clues").glob("*/plan")).read_text()


def test_the_metadata_is_guarded_again_when_somebody_has_flushed_the_firewall(cluster: Cluster) -> None:
    vm = only_vm(cluster)
    assert run_inside(vm, "nft", "list", "table", "inet", "clues_guard").returncode == 0
    assert run_inside(vm, "nft", "flush", "ruleset").returncode == 0
    assert run_inside(vm, "sh", "/etc/clues/guard").stderr == ""
    assert "skuid != 0" in run_inside(vm, "nft", "list", "table", "inet", "clues_guard").stdout


def test_without_clues_a_word_of_slurmctld_keeps_a_worker(cluster: Cluster) -> None:
    vm = only_vm(cluster)

    def heard() -> int:
        return int(run_inside(vm, "cat", "/run/clues-agent/heard").stdout)

    cluster.stop_process("enrol")
    before = heard()
    wait_for("a word of slurmctld", lambda: True if heard() > before + 2 else None, 20)
    cluster.start_process("enrol")


def test_a_worker_whose_network_is_cut_ends_itself_when_its_time_is_over_and_its_job_has_ended(
    cluster: Cluster,
) -> None:
    job = cluster.front.sbatch(f"sleep {DEAD_MAN + 8}")
    cluster.front.wait_job(job, "RUNNING", timeout=40)
    vm = only_vm(cluster)
    process = machine.process_of(vm)
    assert process is not None
    log = vm / "var/log/clues-agent.log"
    subprocess.run(["ip", "link", "set", cable_name(vm), "down"], check=True)
    wait_for("its word", lambda: "a job runs still" in log.read_text() or None, 30, log.read_text)
    assert process.lives()
    wait_for("its end", lambda: None if process.lives() else True, 40, log.read_text)
    assert "and no job runs: this VM powers itself off" in log.read_text()
    assert "powered off from inside" in (vm / "console.log").read_text()
