"""What a sysadmin sees of the private network and orders there, with real tunnels: the `clues vrouter` commands.

One job on the far site runs through all of it, since what is ordered here must not cost a job.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

PROGRAM = [sys.executable, "-c", "import sys; from clues.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("operate")
    with trial(folder, overlay=True, idle="60s", vms={"cesnet": 1, "upv": 1}, cpu_nodes="cpu-[01-02]") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def job(cluster: Trial) -> int:
    """A job on the far site that runs until it finds a file."""
    script = 'touch "running-$SLURM_JOB_ID"; until [ -e stop ]; do sleep 0.2; done'
    number = cluster.front.sbatch(script, "--constraint=upv", "--time=10")
    cluster.until("the job's first line", lambda: (cluster.home / f"running-{number}").exists(), 60)
    return number


def clues(cluster: Trial, *words: str) -> str:
    """What the command says; it has to succeed."""
    done = subprocess.run(
        [*PROGRAM, "--socket", str(cluster.socket), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(cluster: Trial) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(clues(cluster, "vrouter", "status", "-o", "json"))
    return status


def router(cluster: Trial) -> dict[str, Any]:
    """The row of upv's router; of the younger one when it is being replaced."""
    rows = [row for row in look(cluster)["tunnels"] if row["node"] == "router-upv"]
    return rows[-1] if rows else {"state": "none", "claim": ""}


def until_up(cluster: Trial, but: str = "") -> dict[str, Any]:
    """Wait for the tunnel of the router; of another claim than *but*."""

    def found() -> dict[str, Any]:
        row = router(cluster)
        return row if row["state"] == "up" and row["claim"] != but else {}

    return cluster.until("the router's tunnel", found, 60)


def troubles(cluster: Trial) -> list[str]:
    found: list[str] = cluster.status()["troubles"]
    return found


def still_runs(cluster: Trial, job: int) -> bool:
    return cluster.front.run(["squeue", "--noheader", "--format=%T", f"--jobs={job}"]).stdout.strip() == "RUNNING"


def test_the_tunnel_is_shown_with_where_it_comes_from_and_what_went_through(cluster: Trial, job: int) -> None:
    row = until_up(cluster)
    assert row["real"].startswith("198.51.100.20:")
    assert (row["address"], row["hub"], row["workers"], row["kind"]) == ("10.77.252.10", "hub", 1, "router")
    assert row["received"] > 0
    assert row["sent"] > 0
    assert 28 * 86400 < row["certificate_left_seconds"] <= 30 * 86400
    status = look(cluster)
    (hub,) = status["hubs"]
    assert (hub["state"], hub["tunnels"], status["troubles"]) == ("up", 1, [])
    assert 5 * 86400 < hub["crl_left_seconds"] <= 7 * 86400
    assert 28 * 86400 < hub["certificate_left_seconds"] <= 30 * 86400
    assert hub["revision"] > 0


def test_the_site_has_its_line_in_the_status(cluster: Trial, job: int) -> None:
    until_up(cluster)
    lines = clues(cluster, "status").splitlines()
    assert any(re.match(r"net +upv router up .*, 1 worker, .* in .* out$", line) for line in lines), lines


def test_a_central_point_that_is_away_is_told_and_its_tunnels_are_not_called_down(cluster: Trial, job: int) -> None:
    until_up(cluster)
    cluster.kill("hub")
    cluster.until("the trouble", lambda: any("central point hub is down" in one for one in troubles(cluster)))
    assert router(cluster)["state"] == "unknown"
    cluster.start_process("hub")
    until_up(cluster)
    cluster.until("no trouble", lambda: not troubles(cluster))
    assert still_runs(cluster, job)


@pytest.mark.slow
def test_the_ca_is_rotated_step_by_step_and_nothing_drops(cluster: Trial, job: int) -> None:
    claim = until_up(cluster)["claim"]
    before = json.loads(clues(cluster, "vrouter", "ca", "status", "-o", "json"))["generations"]
    assert [one["state"] for one in before] == ["signs"]
    for _ in range(3):
        # a step that somebody is not ready for is refused, and says for whom it waits
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(
                [*PROGRAM, "--socket", str(cluster.socket), "vrouter", "ca", "rotate"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if done.returncode == 0:
                break
            assert done.returncode == 1
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)
    after = json.loads(clues(cluster, "vrouter", "ca", "status", "-o", "json"))["generations"]
    assert [one["state"] for one in after] == ["signs"]
    assert after[0]["name"] != before[0]["name"]
    assert after[0]["certificates"] >= 3
    row = until_up(cluster)
    assert row["claim"] == claim, "the router was replaced"
    assert still_runs(cluster, job)
    assert any("root" in text or "ca" in text for text in cluster.texts("ca"))


def test_an_evicted_router_is_cut_off_at_once_and_the_next_one_takes_over(cluster: Trial, job: int) -> None:
    evicted = until_up(cluster)["claim"]
    began = time.monotonic()
    said = clues(cluster, "vrouter", "evict", "router-upv")
    assert evicted in said
    cluster.until("the tunnel to be cut", lambda: router(cluster)["claim"] != evicted or not router(cluster)["hub"])
    assert time.monotonic() - began < 5
    assert until_up(cluster, but=evicted)["address"] == "10.77.252.11", "the old end of a tunnel rests"
    assert any("evicted by" in text for text in cluster.texts("router-upv"))
    assert still_runs(cluster, job)
    (cluster.home / "stop").touch()
    cluster.front.wait_job(job, "COMPLETED", timeout=60)
