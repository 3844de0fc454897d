"""kill -9 at moments that nobody chose, a ledger that is lost, and another cluster at the same sites.

One cluster for all of it. At its first site a VM of another front-end lives, whose cluster has the same name, and a VM
for a node of the same name: it must live through everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clues.model import Claim, ClaimState, Instance, InstanceState, Kind, Offer
from connectors.local.connector import LocalConnector
from tests.lab.crash_lab import QUICK, CrashLab, Watch
from tests.real.crash_scenarios import cluster_id, connect, request

pytestmark = pytest.mark.real

MOMENTS = 30
#: Some of its VMs never come: what waits for them shall not wait long.
DEADLINES = {"boot_deadline": "20s", "join_deadline": "20s"}
OTHER_CLUSTER = "00000000-0000-4000-8000-00000000beef"

#: What is submitted, with its weight.
KINDS: dict[tuple[str, ...], int] = {
    ("--cpus-per-task=1",): 3,
    ("--cpus-per-task=4",): 3,
    ("--array=1-4", "--cpus-per-task=2"): 3,
    ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=3"): 2,
    ("--partition=gpu", "--gres=gpu:1"): 2,
    ("--constraint=upv", "--cpus-per-task=2"): 2,
}


class Stranger:
    """The other front-end: a connector with its own tag, and its VM."""

    def __init__(self, lab: CrashLab, site: str = "cesnet") -> None:
        self.connector: LocalConnector = connect(lab, site, OTHER_CLUSTER)
        now = datetime.now(UTC)
        offer, shape = Offer(site, "small", "here"), lab.settings().pools["cpu"].shape
        claim = Claim("other-cpu-01-1", Kind.WORKER, "cpu-01", "cpu", 1, offer, shape, ClaimState.LAUNCHING, now, now)
        wanted = request(replace(claim, address="10.77.1.200"), OTHER_CLUSTER)
        [outcome] = self.connector.launch([wanted])
        assert outcome.instance is not None, outcome.error
        self.id = outcome.instance.id
        lab.strangers.add(f"{site}/{self.id}")

    def instances(self) -> list[Instance]:
        """Return what it sees as its own."""
        return list(self.connector.list_instances().instances)

    def lives(self) -> bool:
        """Return whether its VM, and only that, is there and was not touched."""
        return [(one.id, one.state) for one in self.instances()] == [(self.id, InstanceState.RUNNING)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashLab]:
    plan = replace(QUICK, vms={"cesnet": 5, "upv": 4}, pool=DEADLINES)
    lab = CrashLab(tmp_path_factory.mktemp("crash") / "random", plan)
    try:
        lab.start(daemon=False)
        lab.wake()
        lab.until("the first start", lambda: not lab.left())
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def stranger(lab: CrashLab) -> Stranger:
    return Stranger(lab)


def test_killed_at_thirty_random_moments_under_load(lab: CrashLab, stranger: Stranger) -> None:
    dice = random.Random(20261122)
    lab.begin()
    busy, cluster = 0, cluster_id(lab)
    with Watch(lab.site_folders(), lambda tag: tag == cluster) as watch:
        for moment in range(MOMENTS):
            for _ in range(3 if moment == 0 else dice.choice((0, 1, 1))):
                [options] = dice.choices(list(KINDS), list(KINDS.values()))
                lab.submit(*options, script=f"srun hostname; sleep {dice.uniform(0.2, 2.0):.2f}")
            strike = time.monotonic() + dice.uniform(0.1, 2.0)
            while time.monotonic() < strike:
                lab.attend()
                time.sleep(0.02)
            busy += bool(lab.left())
            lab.kill_daemon()
            lab.wake()
        lab.finish(120)
    assert watch.doubles == []
    assert len(watch.seen) >= 5
    assert busy >= MOMENTS // 2, "most moments are to be busy ones"
    assert stranger.lives()


def test_a_lost_ledger_loses_no_vm_and_no_job(lab: CrashLab, stranger: Stranger) -> None:
    """One node runs a job, one is idle, one boots, and both of a gang run when the ledger goes."""
    lab.begin()
    cluster = cluster_id(lab)
    with Watch(lab.site_folders(), lambda tag: tag == cluster) as watch:
        lab.submit("--partition=gpu", "--gres=gpu:1")
        lab.finish()  # a claim that only the lost ledger will have known
        lab.begin()
        lab.submit_patient()
        lab.submit_patient("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--constraint=upv")
        lab.submit(script="true")
        lab.until("the short job to end", lambda: len(lab.unfinished()) == 2)
        lab.faults("upv").add("boot", "slow-boot", seconds=3)
        lab.submit("--constraint=upv", "--cpus-per-task=4")
        lab.claim_in(ClaimState.BOOTING)
        serving = {one.instance_id for one in lab.claims() if one.state is ClaimState.READY and one.used_at}
        lab.kill_daemon()
        before = lab.living()
        keys = {key for key, _ in lab.launches()}
        at = time.time()
        for path in lab.state.glob("ledger.db*"):
            path.unlink()
        lab.wake()
        lab.until("the VMs to be found again", lambda: len([one for one in lab.claims() if one.adopted]) >= len(before))
        assert lab.unfinished(), "the jobs are to go on while the VMs are found"
        assert serving <= {name.partition("/")[2] for name in lab.living()}, "a VM with a job was ended"
        lab.finish()
        lab.submit("--partition=gpu", "--gres=gpu:1")  # and life goes on
        lab.finish()
    assert watch.doubles == []
    assert stranger.lives()
    assert serving <= {one.instance_id for one in lab.claims() if one.adopted}
    again = {key for key, when in lab.launches() if when > at}
    assert again
    assert not keys & again, "a launch key was used for a second VM: a provider would answer with the first one"


def test_the_other_front_end_sees_and_ends_nothing_of_ours(lab: CrashLab, stranger: Stranger) -> None:
    lab.begin()
    lab.submit_patient()
    claim = lab.claim_in(ClaimState.READY)
    assert claim.instance_id not in {one.id for one in stranger.instances()}
    lab.finish()
    assert stranger.lives()
