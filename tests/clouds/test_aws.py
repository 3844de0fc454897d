"""A thousand instances and none again, through clues' own reconciler, ledger, executor and threads, at moto over HTTP.

Only Slurm and the VMs are toys: nobody has a thousand machines. Time is real, calls are real, and the lab's AWS loses
answers and refuses some calls on the way.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from clues.clock import SteadyClock
from clues.errors import AuthFailed, QuotaExceeded, Transient
from clues.executor import Executor
from clues.ledger import open_ledger
from clues.model import Claim, ClusterSnapshot, Facts, LaunchRequest, Limits, Offer, Pace, Resources
from clues.ports import Reservation
from clues.reconciler import Books, Counter, Observer, Reconciler
from clues.workers import Threads
from connectors.ec2 import mates
from tests.lab.aws.lab import running
from tests.lab.aws.site import FLAVOR, IMAGE, NETWORK, Account, config, connect, prepare, write_keys
from tests.unit.builders import make_pool, make_settings, make_site
from tests.unit.planner.toy_daemon import CLUSTER, ToyOverlay, request_for
from tests.unit.planner.toy_slurm import ToyJob, ToySlurm

SHAPE = Resources(4, 8000)
GANG = 25
#: threads of the site, as many calls at once
WIDTH = 16
OTHERS = "6f1d7c1e-0000-4000-8000-00000000000b"


class Slurm(ToySlurm):
    """The toy, asked from a thread of the daemon's while the test turns it on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lock = threading.RLock()

    def snapshot(self) -> ClusterSnapshot:
        with self.lock:
            return super().snapshot()

    def open(self, nodes: Sequence[str]) -> None:
        with self.lock:
            super().open(nodes)

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        with self.lock:
            super().drain(nodes, reason)

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        with self.lock:
            return super().power_off(nodes, reason, vanished=vanished)

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        with self.lock:
            super().bind(node, address, features)

    def step(self) -> None:
        with self.lock:
            super().step()

    def register(self, name: str, vm: str) -> bool:
        with self.lock:
            return super().register(name, vm)


class Overlay(ToyOverlay):
    """Addresses of the subnet, each for one claim; or EC2 chooses them, so that many VMs can be one launch."""

    def __init__(self, *, reserves: bool) -> None:
        super().__init__()
        self._reserves = reserves
        self._range = [str(address) for address in IPv4Network(NETWORK)][10:-1]

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        if not self._reserves:
            return Reservation()
        taken = {one.address for one in claims}
        for address in self._range:
            if address not in taken:
                return Reservation(address)
        raise QuotaExceeded("the subnet is full")


class Cluster:
    """A daemon without its processes, over a ledger on the disk; the test's thread is the owner of all state."""

    def __init__(self, account: Account, folder: Path, nodes: int, *, together: bool) -> None:
        self.aws = account.aws
        pool = make_pool(
            count=nodes,
            shape=SHAPE,
            offers=[Offer("aws", FLAVOR, IMAGE, price_per_hour=0.1)],
            idle=timedelta(seconds=2),
        )
        pace = Pace(
            look=timedelta(seconds=2),
            look_busy=timedelta(seconds=1),
            # moto takes seconds to list a thousand
            listing=timedelta(seconds=3 + nodes / 150),
            listing_busy=timedelta(seconds=2 + nodes / 150),
            launches_per_tick=nodes,
            destroys_per_tick=nodes,
            retry_offer=timedelta(seconds=2),
            retry_offer_longest=timedelta(seconds=4),
        )
        self.settings = make_settings([pool], [make_site("aws", limits=Limits(vms=nodes))], pace=pace)
        self.clock = SteadyClock()
        self.slurm = Slurm([pool], self.clock.now, random.Random(7))
        self.slurm.alive = lambda vm: vm in self.alive
        #: what is registered where, and which VMs live
        self.alive: set[str] = set()
        self.enrolled: dict[str, float] = {}
        self.most = 0
        self.home: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.ledger = open_ledger(folder / "ledger.db")
        self.books = Books(self.ledger, self.clock.now())
        workers = Threads(self.home, {"aws": WIDTH})
        self.observer = Observer(self.slurm, workers, self.clock, pace)
        overlay = Overlay(reserves=not together)
        self.reconciler = Reconciler(CLUSTER, self.settings, self.books, self.observer, overlay, self.clock)
        site = config(account, write_keys(folder), concurrency=WIDTH)
        executor = Executor(workers, self.slurm, {"aws": connect(site, CLUSTER)}, self._request, self.reconciler)
        self.reconciler.use(executor)
        self.counter = Counter(self.reconciler, self.books, self.observer, self.clock)
        self._next_turn = 0.0

    def until(self, what: str, true: Callable[[], bool], seconds: float) -> None:
        """Let the daemon and its world go on until *true* is."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}: {self._story()}"
            self.observer.pump()
            with suppress(queue.Empty):
                self.home.get(timeout=0.05)()
            if time.monotonic() >= self._next_turn:
                self._turn()
                self._next_turn = time.monotonic() + 0.5

    def submit(self, jobs: int) -> None:
        """Submit gangs that last until they are told to end, once all nodes are closed: Slurm powers up open ones."""
        self.until("all nodes to be closed", self._closed, 60)
        with self.slurm.lock:
            for number in range(jobs):
                name = str(101 + number)
                self.slurm.jobs[name] = ToyJob(name, "cpu", GANG, SHAPE.cpus, 1, timedelta(days=1))

    def end_jobs(self) -> None:
        """Let all jobs end now."""
        with self.slurm.lock:
            for job in self.slurm.jobs.values():
                job.ends = self.clock.now()

    def ours(self) -> dict[str, dict[str, str]]:
        """Return the tags of our living instances, by id, with their addresses among them."""
        return {
            one["id"]: {**mates.own(one["tags"], str(one["place"])), "address": one["address"]}
            for one in self.aws.tell("instances")
            if one["tags"].get("clues-cluster") == CLUSTER and one["state"] not in ("terminated", "shutting-down")
        }

    def states(self) -> Tally[str]:
        """Count the jobs' states."""
        with self.slurm.lock:
            return Tally(job.state for job in self.slurm.jobs.values())

    def _closed(self) -> bool:
        with self.slurm.lock:
            return all("DRAIN" in node.flags for node in self.slurm.nodes.values())

    def _turn(self) -> None:
        """VMs boot, enrol, and start their slurmd a second later; Slurm starts and ends jobs."""
        now, ours = time.monotonic(), self.ours()
        self.alive = set(ours)
        self.most = max(self.most, len(ours))
        for one, tags in ours.items():
            if one not in self.enrolled:
                facts = Facts(SHAPE.cpus, SHAPE.memory_mib)
                with suppress(AuthFailed, Transient):  # its launch is not answered yet
                    self.counter.redeem(tags["clues-launch-key"], f"key of {one}", "", tags["address"], facts)
                    self.enrolled[one] = now
            elif now - self.enrolled[one] > 1.0 and self.slurm.nodes[tags["clues-node"]].vm != one:
                self.slurm.register(tags["clues-node"], one)
        self.slurm.step()

    def _request(self, claim: Claim) -> LaunchRequest:
        script = f"#!/bin/sh\n: {' '.join(claim.batch or (claim.key,))}\n"
        return replace(request_for(claim), batch=claim.batch, gang=claim.gang, user_data=script)

    def _story(self) -> str:
        claims = Tally(f"{one.state}: {one.reason}"[:90] for one in self.books.claims.values())
        return f"{self.states()}, {len(self.alive)} VMs, claims {claims.most_common(5)}, {list(self.books.troubles)}"


@pytest.fixture
def account() -> Iterator[Account]:
    with running() as aws:
        yield prepare(aws)


def strangers(account: Account) -> Mapping[str, Any]:
    """Return what others have in the account, as it is."""
    told = account.aws.client().describe_instances(Filters=[{"Name": "tag:whose", "Values": ["others"]}])
    found = [one for reservation in told["Reservations"] for one in reservation["Instances"]]
    return {one["InstanceId"]: (one["State"]["Name"], one["Tags"], one["SourceDestCheck"]) for one in found}


def make_strangers(account: Account, nodes: list[str]) -> None:
    """Somebody else has VMs with our nodes' names, one of them with the tags of another cluster."""
    for node, cluster in zip(nodes, ("", OTHERS), strict=True):
        tags = {"whose": "others", "Name": node, "clues-node": node} | ({"clues-cluster": cluster} if cluster else {})
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        account.aws.client().run_instances(
            ImageId=account.image,
            InstanceType=FLAVOR,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("nodes", "together"),
    [
        (150, False),
        (100, True),
        pytest.param(1000, False, marks=pytest.mark.slow),
        pytest.param(1000, True, marks=pytest.mark.slow),
    ],
    ids=["150-each-alone", "100-together", "1000-each-alone", "1000-together"],
)
def test_a_cluster_grows_from_nothing_and_shrinks_to_nothing_again(
    account: Account, tmp_path: Path, nodes: int, together: bool
) -> None:
    aws = account.aws
    cluster = Cluster(account, tmp_path, nodes, together=together)
    make_strangers(account, list(cluster.settings.pools["cpu"].nodes[:2]))
    foreign, left = strangers(account), aws.tell("left")
    # moto's pages are of launches, with all their VMs
    aws.tell("set", page=2 if together else max(40, nodes // 4))
    # what AWS does on a bad day: answers that are lost after their effect, and refusals that pass
    aws.tell("refuse", action="RunInstances", code="InternalError", times=5, after=True)
    aws.tell("refuse", action="RunInstances", code="InternalError", times=5)
    aws.tell("refuse", action="TerminateInstances", code="InternalError", times=2, after=True)

    cluster.submit(nodes // GANG)
    assert cluster.most == 0, "bought for nobody"
    cluster.until("all jobs to run", lambda: cluster.states() == {"RUNNING": nodes // GANG}, 400)
    ours = cluster.ours()
    assert len(ours) == nodes
    assert len({tags["clues-node"] for tags in ours.values()}) == nodes

    aws.tell("refuse", action="DescribeInstances", code="InternalError", times=2)
    cluster.end_jobs()
    cluster.until("all VMs to go", lambda: not cluster.ours() and not cluster.books.claims, 400)
    assert cluster.states() == {"DONE": nodes // GANG}
    assert cluster.slurm.broken == []
    assert cluster.most == nodes
    assert strangers(account) == foreign
    assert aws.tell("left") == left
    asked = Tally(one["ClientToken"] for one in aws.calls("RunInstances") if one["by"] == "AKIACLUES")
    launches = nodes // GANG if together else nodes
    assert len(asked) == launches, "each node had one VM, however often it was asked for"
    assert max(asked.values()) > 1, "no answer was lost: this proved less than it should"
    pages = [one for one in aws.calls("DescribeInstances") if "NextToken" in one]
    assert len(pages) >= 3
    ends = aws.calls("TerminateInstances")
    assert len(ends) < nodes, "ends went out one by one"
    cluster.ledger.close()
