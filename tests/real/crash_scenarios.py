"""What has to happen for a claim to make each of its moves: the ways to the points of the crash tests.

Each scenario submits jobs that have to complete, whatever it then does to them, and goes as far as its points need.
They are held against the lifecycle table and the actions in ``test_crash_points.py``: a move that no scenario reaches
fails there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from clues.config import load
from clues.ledger import Commit
from clues.model import Claim, ClaimState, Kind, LaunchRequest, Offer
from clues.ports import PluginContext
from clues.registry import find_plugins
from connectors.local import PLUGIN
from connectors.local.connector import LocalConnector
from tests.lab.crash_lab import CrashLab
from tests.lab.frontend import wait_for

S = ClaimState


@dataclass(frozen=True)
class Scenario:
    """A way to some points."""

    provoke: Callable[[CrashLab], None]
    #: points that one run passes, one death at each, in sets: some of them lead past others
    sets: tuple[tuple[str, ...], ...]


def sides(*names: str) -> tuple[str, ...]:
    """Return both points of each of these."""
    return tuple(f"{name}:{side}" for name in names for side in ("before", "after"))


#: Where faults are waiting: of two sites at one price the one whose boots were seen to take less is chosen.
AT_CESNET = "--constraint=cesnet"


def life(lab: CrashLab) -> None:
    """One job: a node is bought for it, serves, is idle, and goes.

    Its VM takes longer to boot than a daemon does to start twice: one that has enrolled by then takes another way.
    """
    lab.faults("cesnet").add("boot", "slow-boot", seconds=20)
    lab.submit(AT_CESNET)


def no_capacity(lab: CrashLab) -> None:
    """The first site refuses; the launch that is repeated because its answer was lost is refused as well."""
    lab.faults("cesnet").add("launch", "no-capacity", times=2)
    lab.submit(AT_CESNET)


def quick_worker(lab: CrashLab) -> None:
    """The answer to the launch is lost and nothing can be listed: the worker itself tells that it is there."""
    lab.faults("cesnet").add("launch", "timeout-after-effect")
    lab.faults("cesnet").add("list", "api-error", times=None)
    lab.submit(AT_CESNET)
    lab.pass_points()
    lab.faults("cesnet").clear()


def build_error(lab: CrashLab) -> None:
    """The site accepts the launch and fails to build the VM."""
    lab.faults("cesnet").add("launch", "build-error")
    lab.submit(AT_CESNET)


def wrong_gpus(lab: CrashLab) -> None:
    """The VM lacks the GPU that was ordered."""
    lab.faults("upv").add("boot", "wrong-gpus")
    lab.submit("--constraint=upv", "--partition=gpu", "--gres=gpu:1")


def gang(lab: CrashLab) -> None:
    """A job on two nodes: it is kept at the site where they are bought."""
    lab.submit("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4")


def taken_while_booting(lab: CrashLab) -> None:
    """An admin takes the node out of service before its VM has enrolled."""
    lab.faults("cesnet").add("boot", "slow-boot", seconds=3)
    lab.submit(AT_CESNET)
    lab.hold(lab.claim_in(S.BOOTING).node)


def taken_while_joining(lab: CrashLab) -> None:
    """The same to a node whose slurmd has registered, and which waits for the other node of its gang."""
    lab.faults("cesnet").add("boot", "slow-boot", seconds=4)
    lab.submit(AT_CESNET, "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4")

    def waits() -> Claim | None:
        return next((one for one in lab.claims() if one.state is S.JOINING and one.ready_at), None)

    lab.hold(wait_for("a node to wait for its mate", waits, 20).node)


def vanished_under_a_job(lab: CrashLab) -> None:
    """The power of a VM fails while a job runs on it."""
    lab.submit_patient()
    claim = lab.claim_in(S.READY)
    lab.pull_the_plug(claim.offer.site, claim.instance_id)


def vanished_while_draining(lab: CrashLab) -> None:
    """The same while an operator has it drained and its job goes on."""
    lab.submit_patient()
    lab.post("nodes/drain", {"nodes": [lab.claim_in(S.READY).node]})
    claim = lab.claim_in(S.DRAINING)
    lab.pull_the_plug(claim.offer.site, claim.instance_id)


def wanted_again(lab: CrashLab) -> None:
    """The daemon dies when the end of an idle node is decided and Slurm not told; a gang comes that needs it."""
    lab.submit()
    wait_for("the daemon to die as the node is let go", lambda: lab.daemon_ended or None, 30, lab.plight)
    lab.submit("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4")
    began = time.time()

    def listed() -> bool | None:
        answers = [[call for call in lab.calls(site) if call.get("answer") == "list"] for site in lab.plan.vms]
        return all(calls and calls[-1]["at"] > began for calls in answers) or None

    with lab.front.frozen():  # the other node can be bought at the first tick only if the sites are listed by then
        lab.attend()
        wait_for("all sites to be listed", listed, 10)


def late_vm(lab: CrashLab) -> None:
    """A provider makes a VM for a launch key whose claim has ended long ago."""
    lab.submit()
    lab.until("the cluster to be empty again", lambda: not lab.unfinished() and not lab.left())
    claim = lab.claims()[-1]
    connector = connect(lab, claim.offer.site)

    def forgotten() -> bool | None:
        instances = connector.list_instances().instances
        return True if all(one.launch_key != claim.key for one in instances) else None

    wait_for("the site to forget the ended VM", forgotten, 20)
    [outcome] = connector.launch([request(claim, cluster_id(lab))])
    assert outcome.instance is not None, outcome.error


def bought_for_a_pool_that_is_gone(lab: CrashLab) -> None:
    """The ledger holds a purchase whose pool is no longer configured, as after an edit while the daemon was down."""
    lab.stop_daemon()
    now = datetime.now(UTC)
    offer = Offer("cesnet", "small", "here")
    claim = Claim(
        f"abandoned-{lab.deaths}",
        Kind.WORKER,
        "old-01",
        "old",
        1,
        offer,
        lab.settings().pools["cpu"].shape,
        S.PLANNED,
        now,
        now,
    )
    ledger = lab.ledger()
    ledger.commit(Commit(claims=(claim,)))
    ledger.close()
    lab.submit()
    lab.wake()


def connect(lab: CrashLab, site: str, cluster: str = "") -> LocalConnector:
    """Return a connector of this process to a site: the lab's cluster's own, or another *cluster*'s."""
    loaded = load(lab.config, find_plugins())
    return PLUGIN.build(loaded.sites[site][1], PluginContext(cluster or cluster_id(lab), site, lab.state))


def cluster_id(lab: CrashLab) -> str:
    """Return the tag of the lab's own cluster."""
    return (lab.state / "cluster-id").read_text().strip()


def request(claim: Claim, cluster: str, user_data: str = "#!/bin/sh\n") -> LaunchRequest:
    """Return the request for a claim's VM, with a script of its own."""
    return LaunchRequest(
        cluster=cluster,
        launch_key=claim.key,
        kind=claim.kind,
        node=claim.node,
        pool=claim.pool,
        generation=claim.generation,
        offer=claim.offer,
        shape=claim.shape,
        user_data=user_data,
        address=claim.address,
    )


LIFE_MOVES = "planned-launching launching-booting joining-ready ready-draining draining-stopping stopping-gone".split()
#: Not `bind`, which is another lane's than `launch`: a daemon that dies at it dies anywhere in the launch, whose VM
#: comes up all the same. Then no launch is made again, and none comes by its points.
LIFE_EFFECTS = "launch open drain power_off terminate".split()

LIFE = Scenario(
    life,
    (
        (
            *sides(*(f"commit:{move}" for move in LIFE_MOVES), *(f"effect:{name}" for name in LIFE_EFFECTS)),
            "effect:power_off:between",
        ),
    ),
)

#: The same; in few deaths at once, since a worker that was cut off comes again after 1, 2, 4, ... seconds.
ENROLMENT = Scenario(
    life,
    (
        ("enrolment:before", "commit:booting-joining:before"),
        ("commit:booting-joining:after", "enrolment:after"),
    ),
)

#: Off the usual path. Where the first death leads past the second point, the points are in two sets.
OTHERS: dict[str, Scenario] = {
    "no-capacity": Scenario(
        no_capacity,
        (
            ("commit:launching-failed:before",),
            ("commit:launching-failed:after", *sides("commit:failed-gone")),
        ),
    ),
    "quick-worker": Scenario(quick_worker, (sides("commit:launching-joining"),)),
    "build-error": Scenario(build_error, (sides("commit:booting-failed"),)),
    "wrong-gpus": Scenario(wrong_gpus, (sides("commit:joining-failed", "commit:failed-stopping"),)),
    "gang": Scenario(gang, (sides("effect:pin", "effect:bind"),)),
    "taken-while-booting": Scenario(taken_while_booting, (sides("commit:booting-draining"),)),
    "taken-while-joining": Scenario(taken_while_joining, (sides("commit:joining-draining"),)),
    "vanished-under-a-job": Scenario(vanished_under_a_job, (sides("commit:ready-failed"),)),
    "vanished-while-draining": Scenario(vanished_while_draining, (sides("commit:draining-failed"),)),
    "wanted-again": Scenario(wanted_again, (("commit:ready-draining:after", *sides("commit:draining-ready")),)),
    "late-vm": Scenario(late_vm, (sides("commit:gone-stopping"),)),
    "pool-is-gone": Scenario(bought_for_a_pool_that_is_gone, (sides("commit:planned-gone"),)),
}
