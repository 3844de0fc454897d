"""The main job from end to end, and that nothing of it stays behind, however it ends."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs_blocks import blocks, lines_to_type

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "tests.lab.demo"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


def run(folder: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [*DEMO, "--json", "--folder", str(folder), *options], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}\n{_log(folder)}"
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def _log(folder: Path) -> str:
    path = folder / "cluster" / "cluesd.log"
    return path.read_text()[-4000:] if path.exists() else "no log of cluesd"


@pytest.mark.parametrize("options", [(), ("--flat",)], ids=["tunnels", "flat"])
def test_the_cluster_grows_from_nothing_for_every_kind_of_job_and_shrinks_to_nothing(
    folder: Path, options: tuple[str, ...]
) -> None:
    summary = run(folder, *options)
    assert summary["jobs_submitted"] == summary["jobs_completed"] == 12
    assert summary["refused_jobs"] == 1
    assert "Requested node configuration is not available" in summary["refusals"][0]
    assert summary["gang_nodes"] == 2
    # eight one-core jobs on two nodes, a gang on two, a pinned job and two GPU jobs: not one VM more than that
    assert summary["vms_started"] == 7
    assert 3 <= summary["peak_nodes"] <= 7
    assert summary["final_nodes"] == summary["leaked_instances"] == 0
    jobs = {job["name"]: job for job in summary["jobs"]}
    assert jobs["pinned"]["site"] == "upv"
    assert {jobs["gpu-a"]["node"], jobs["gpu-b"]["node"]} == {"gpu-01", "gpu-02"}
    # on a machine that is busy a job may come so late that its node has been bought already
    waited = [job for job in jobs.values() if job["launch_seconds"] is not None]
    assert len(waited) >= 8
    for job in waited:
        assert 0 <= job["launch_seconds"] < job["ready_seconds"] < job["start_seconds"]
    if options:
        assert summary["routers_started"] == summary["tunnels"] == summary["hub_bytes"] == 0
    else:  # Slurm's and the jobs' words to upv have gone through the tunnel of its one router
        assert summary["routers_started"] == summary["tunnels"] == 1
        assert 0 < summary["router_seconds"][0] < summary["seconds"]
        assert summary["hub_bytes"] > 10_000
    assert summary["shortcuts"] == summary["shortcut_bytes"] == 0


def test_a_gang_spans_two_sites_and_its_nodes_talk(folder: Path) -> None:
    summary = run(folder, "--span")
    (exchange,) = summary["exchanges"]
    assert sorted(exchange["sites"]) == ["cesnet", "upv"]
    assert exchange["bytes"] == 32 << 20
    # there and back over the tunnel
    assert summary["hub_bytes"] > exchange["bytes"]
    assert summary["final_nodes"] == summary["leaked_instances"] == 0


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_random_work_is_all_done_and_nothing_is_left(folder: Path, seed: int) -> None:
    summary = run(folder, "--seed", str(seed))
    assert summary["jobs_completed"] + summary["jobs_cancelled"] == summary["jobs_submitted"]
    assert summary["final_nodes"] == summary["leaked_instances"] == 0


def test_what_the_tutorial_tells_to_type_works_in_the_demo_s_shell(folder: Path) -> None:
    """Each command is typed again until it works, as a reader would who was too quick for the cluster."""
    typed = [
        line
        for block in blocks()
        if block.page.name == "hybrid-cluster.md" and "demo$ " in block.text
        for line in lines_to_type(block)
    ]
    assert len(typed) > 7
    trying = 'again() { for _ in {1..100}; do eval "$1" && return; sleep 0.2; done; echo "never worked: $1"; exit 1; }'
    script = [trying, *(f"again {shlex.quote(line)}" for line in typed), "exit 0", ""]
    shell = subprocess.run(
        [*DEMO, "--shell", "--folder", str(folder)],
        cwd=ROOT,
        input="\n".join(script),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert shell.returncode == 0, shell.stderr
    assert "never worked" not in shell.stdout, shell.stdout
    assert "Submitted batch job 2" in shell.stdout


@pytest.fixture
def half_way(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo in the middle of its work: VMs run and jobs are on them."""
    demo = subprocess.Popen(
        [*DEMO, "--plain", "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    for line in demo.stderr:
        if "joining -> ready" in line:
            break
    else:
        pytest.fail("the demo ended before a node was ready")
    assert inhabitants(folder), "the look for processes of the demo finds none although it runs"
    yield demo
    demo.kill()
    demo.wait()
    demo.stderr.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_interrupted(
    folder: Path, half_way: subprocess.Popen[str], how: signal.Signals
) -> None:
    links = network_links()
    half_way.send_signal(how)
    assert half_way.wait(30) != 0
    deadline = time.monotonic() + 10
    while (left := inhabitants(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert network_links() == links


def inhabitants(folder: Path) -> list[str]:
    """Every process of this machine whose environment says that it belongs to the demo in *folder*."""
    mark = f"CLUES_SANDBOX={folder.resolve()}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(f"{process.name} {(process / 'cmdline').read_bytes().decode(errors='replace')}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def network_links() -> list[str]:
    return sorted(link.name for link in Path("/sys/class/net").iterdir())
