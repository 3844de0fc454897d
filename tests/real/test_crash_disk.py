"""The ledger's disk is full: nothing is begun that could not be written down first, and what waits goes on afterwards.

The state folder is a file system of a few megabytes of its own, which a test fills to the last byte.
"""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clues.cli.errors import CliError
from clues.model import ClaimState
from tests.lab.crash_lab import CrashLab, Watch
from tests.lab.frontend import LabError, wait_for

pytestmark = pytest.mark.real


class SmallDisk:
    """The file system of a state folder."""

    def __init__(self, lab: CrashLab) -> None:
        self._lab = lab
        lab.state.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0750", "clues-state", str(lab.state)], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left on it."""
        path = self._lab.state / "something-else"
        with path.open("wb", buffering=0) as file:
            for size in (65536, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        try:
            yield
        finally:
            path.unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self._lab.state)], check=True)


class SmallLab(CrashLab):
    """A cluster whose state lies on a disk of its own."""

    disk: SmallDisk


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    lab = SmallLab(tmp_path_factory.mktemp("crash") / "disk")
    lab.disk = SmallDisk(lab)
    try:
        lab.start(daemon=False)
        lab.wake()
        lab.until("the first start", lambda: not lab.left())
        yield lab
    finally:
        lab.stop()
        lab.disk.unmount()


def wait_for_trouble(lab: CrashLab) -> str:
    """Return what the API tells of the ledger."""

    def told() -> str | None:
        return next((text for text in lab.get("status")["troubles"] if "ledger.db" in text), None)

    return wait_for("the trouble to be told", told, 20, lambda: lab.get("status"))


def wait_ticks(lab: CrashLab, count: int) -> None:
    """Wait until the daemon has looked and decided so many more times."""
    first = int(lab.get("version")["tick"])
    wait_for(f"{count} ticks", lambda: int(lab.get("version")["tick"]) >= first + count or None, 30)


def test_no_vm_is_launched_that_the_ledger_does_not_hold(lab: SmallLab) -> None:
    lab.begin()
    launched = lab.launches()
    with Watch(lab.site_folders()) as watch:
        with lab.disk.full():
            job = lab.submit()
            assert "cannot be written" in wait_for_trouble(lab)
            wait_ticks(lab, 5)
            assert lab.launches() == launched
            assert lab.living() == []
            assert lab.front.job_state(job) == "PENDING"
        lab.finish()
    assert {key for key, _ in lab.launches()} == {claim.key for claim in lab.claims()}
    assert not lab.get("status")["troubles"]
    assert watch.doubles == []


def test_a_worker_that_cannot_be_enrolled_comes_again_when_there_is_room(lab: SmallLab) -> None:
    lab.begin()
    lab.faults("cesnet").add("boot", "slow-boot", seconds=1)
    with Watch(lab.site_folders()) as watch:
        lab.submit()
        claim = lab.claim_in(ClaimState.BOOTING)
        with lab.disk.full():
            wait_for_trouble(lab)
            wait_ticks(lab, 5)
            assert [one.state for one in lab.claims() if one.key == claim.key] == [ClaimState.BOOTING]
            assert lab.living() == [f"cesnet/{claim.instance_id}"]
        lab.finish()
    assert watch.doubles == []


def test_killed_with_the_disk_full_the_daemon_says_why_it_cannot_start_or_goes_on(lab: SmallLab) -> None:
    lab.begin()
    with Watch(lab.site_folders()) as watch:
        lab.submit_patient()
        launched = lab.launches()
        with lab.disk.full():
            lab.submit()
            wait_for_trouble(lab)
            lab.kill_daemon()
            lab.launch_daemon()
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not lab.daemon_ended:
                try:
                    wait_ticks(lab, 5)
                    break
                except (CliError, LabError):
                    time.sleep(0.1)
            if lab.daemon_ended:
                code = lab.stop_daemon()
                assert code == 1, f"it ended with {code}, not by its own decision"
                assert str(lab.state) in lab.daemon_log(1)
            else:
                lab.kill_daemon()
            assert lab.launches() == launched
            assert len(lab.living()) == 1
        lab.wake()
        lab.finish()
    assert watch.doubles == []
