"""A site that loses its line for a while: its jobs go on, and afterwards everything works as before.

SlurmdTimeout and the ports are those that `clues slurm-config` prints for such a cluster.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from clues.model import ClaimState
from connectors.local.sandbox import as_slurm_user
from tests.lab.frontend import wait_for
from tests.real.overlay_lab import WHOLE, OverlayTrial, overlay_trial

pytestmark = pytest.mark.real

#: Says a word each second until it finds a file.
TALK = "n=0; until [ -e hang-up ]; do echo word $n; n=$((n + 1)); sleep 1; done; echo goodbye"

#: TCP asks again after twice the time that it has waited, and after two minutes at the latest: so long may it take
#: until a connection that had something to say goes on after a long cut.
PATIENCE = 150


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverlayTrial]:
    folder = tmp_path_factory.mktemp("cut")
    with overlay_trial(folder, vms={"cesnet": 1, "upv": 2}, cpu_nodes="cpu-[01-03]") as cluster:
        yield cluster


def withstand(cluster: OverlayTrial, seconds: float) -> None:
    """Cut the far site off for so long, with a batch job and a terminal there."""
    job = cluster.held_job("upv")
    worker = cluster.worker_of(job)
    with Terminal(cluster) as terminal:
        bought = {node: cluster.bought(node) for node in ("cpu-01", "cpu-02", "cpu-03")}
        cluster.internet.cut("upv")
        time.sleep(seconds)
        assert cluster.front.job_state(job) == "RUNNING"
        assert cluster.again(worker).state is ClaimState.READY, "an unreachable worker is unknown, not lost"
        before = terminal.words()
        cluster.internet.mend("upv")
        mended = time.monotonic()
        cluster.router()
        cluster.until("the way to the worker", lambda: answers(cluster, worker.address))
        print(f"cut for {seconds:.0f} s: worker reached again after {time.monotonic() - mended:.1f} s")
        wait_for("the terminal to go on", lambda: terminal.words() > before or None, PATIENCE, terminal.said)
        print(f"terminal goes on after {time.monotonic() - mended:.1f} s")
        terminal.ends()
    cluster.release(job, timeout=120)
    after = cluster.again(worker)
    assert (after.state, after.instance_id) == (ClaimState.READY, worker.instance_id)
    assert {node: cluster.bought(node) for node in bought} == bought
    names = cluster.front.sbatch('srun getent ahostsv4 "$(hostname)"', "--constraint=upv", *WHOLE)
    assert cluster.front.wait_job(names, "COMPLETED", "FAILED", timeout=60) == "COMPLETED"
    assert re.search(r"^10\.77\.2\.\d+ +STREAM", (cluster.home / f"slurm-{names}.out").read_text(), re.MULTILINE)


def test_jobs_and_terminals_outlive_half_a_minute_without_a_line(cluster: OverlayTrial) -> None:
    withstand(cluster, 30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_jobs_and_terminals_outlive_five_minutes_without_a_line(cluster: OverlayTrial) -> None:
    timeout = re.search(r"^SlurmdTimeout += (\d+) sec", cluster.front.scontrol("show", "config"), re.MULTILINE)
    assert timeout is not None
    assert int(timeout[1]) == 480
    withstand(cluster, 300)


def answers(cluster: OverlayTrial, address: str) -> bool:
    """Whether a machine answers a ping from the front-end."""
    done = subprocess.run(["ping", "-n", "-q", "-c", "1", "-W", "1", address], capture_output=True, check=False)
    return done.returncode == 0


class Terminal:
    """`srun --pty` at the far site, which says a word each second. A context manager."""

    def __init__(self, cluster: OverlayTrial) -> None:
        self._log, self._hang_up = cluster.folder / "terminal.log", cluster.home / "hang-up"
        self._hang_up.unlink(missing_ok=True)
        command = f"srun --constraint=upv {' '.join(WHOLE)} --pty sh -c '{TALK}'"
        with self._log.open("wb") as file:
            self._process = subprocess.Popen(
                as_slurm_user(["script", "-qefc", command, "/dev/null"]),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                cwd=cluster.home,
                env=cluster.front.env,
            )

    def __enter__(self) -> Terminal:
        wait_for("the terminal", lambda: self.words() or None, 60, self.said)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def said(self) -> str:
        """All that was seen on it."""
        return self._log.read_text(errors="replace")

    def words(self) -> int:
        """How many words were seen on it."""
        return len(re.findall(r"^word \d+\s*$", self.said(), re.MULTILINE))

    def ends(self) -> None:
        """Hang up; see that it ends well, and that no word was lost."""
        self._hang_up.touch()
        assert self._process.wait(30) == 0, self.said()
        said = [int(one) for one in re.findall(r"^word (\d+)\s*$", self.said(), re.MULTILINE)]
        assert said == list(range(len(said)))
        assert "goodbye" in self.said()
