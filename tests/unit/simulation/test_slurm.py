"""The simulated Slurm does what 22.05.8 was measured to do."""

from __future__ import annotations

from random import Random

from clues.model import Offer, Pool, Resources
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import SimJob, SimNode, SimReservation
from clues.simulation.timeline import Timeline
from clues.simulation.worlds.profiles import Delay, SlurmProfile

PROFILE = SlurmProfile(
    schedule=Delay(1), completing=Delay(0.5), power_down=30, resume_timeout=100, slurmd_timeout=90, requeue=121,
    undrain=Delay(0.4),
)  # fmt: skip


def test_nodes_are_told_in_the_order_of_slurm_conf() -> None:
    """Else what is bought first would hang on the order that sets happen to have in a process."""
    names = tuple(f"cpu-{number}" for number in range(200, 0, -1))
    pool = Pool("cpu", names, Resources(8, 8000), (Offer("own", "m", "i"),), partitions=("cpu",))
    slurm = SimSlurm([pool], Timeline(), Random(1), PROFILE)
    assert tuple(slurm.pictures()) == names
    slurm.drain(slurm.nodes["cpu-7"], "clues:off")
    assert tuple(slurm.pictures()) == names
    assert slurm.pictures()["cpu-7"].closed


class Cluster:
    """Four nodes, closed; ``up`` opens some."""

    def __init__(self) -> None:
        self.time = Timeline()
        pool = Pool("cpu", ("a", "b", "c", "d"), Resources(8, 8000), (Offer("own", "m", "i"),), partitions=("cpu",))
        self.slurm = SimSlurm([pool], self.time, Random(1), PROFILE)
        self.alive = {"vm-a", "vm-b", "vm-c", "vm-d"}
        self.slurm.answers = self.alive.__contains__
        for node in self.slurm.nodes.values():
            self.slurm.drain(node, "clues:off")

    def up(self, *names: str) -> None:
        for name in names:
            assert self.slurm.register(name, f"vm-{name}")
        self.slurm.resume([self.slurm.nodes[name] for name in names])

    def submit(self, name: str, nodes: int = 1, cpus: int = 8, runs: float = 100, **more: float) -> SimJob:
        job = SimJob(name, "cpu", nodes, Resources(cpus, 1), runs, limit=runs, **more)  # type: ignore[arg-type]
        self.slurm.submit(job)
        return job

    def pass_time(self, seconds: float) -> None:
        end = self.time.passed + seconds
        while (due := self.time.next_at()) is not None and due <= end:
            self.time.step()
        self.time.passed = end

    def flags(self, name: str) -> frozenset[str]:
        return self.slurm.nodes[name].picture().flags

    def node(self, name: str) -> SimNode:
        return self.slurm.nodes[name]


def test_a_closed_node_takes_no_job_and_an_opened_one_within_two_seconds() -> None:
    cluster = Cluster()
    job = cluster.submit("1")
    cluster.pass_time(60)
    assert job.state == "PENDING"
    assert job.reason.startswith("ReqNodeNotAvail")
    assert cluster.flags("a") == {"IDLE", "CLOUD", "DRAIN", "POWERED_DOWN"}
    cluster.up("a")
    assert "NOT_RESPONDING" in cluster.flags("a")
    cluster.pass_time(2)
    assert job.state == "RUNNING"


def test_power_down_wipes_drain_and_hears_nobody() -> None:
    cluster = Cluster()
    cluster.up("a")
    node = cluster.node("a")
    cluster.slurm.drain(node, "clues:off")
    cluster.slurm.down(node, "clues:off")
    cluster.slurm.power_down(node)
    assert cluster.flags("a") == {"DOWN", "CLOUD", "POWERING_DOWN"}
    assert not cluster.slurm.register("a", "vm-a")
    cluster.pass_time(31)
    assert cluster.flags("a") == {"DOWN", "CLOUD", "POWERED_DOWN"}
    assert cluster.slurm.register("a", "vm-a")
    assert cluster.flags("a") == {"DOWN", "CLOUD"}  # ReturnToService=1


def test_a_lesser_job_takes_the_first_node_of_a_gang() -> None:
    cluster = Cluster()
    gang, lesser = cluster.submit("1", nodes=2, priority=1000), cluster.submit("2", priority=1)
    cluster.up("a")
    cluster.pass_time(3)
    assert (gang.state, lesser.state) == ("PENDING", "RUNNING")


def test_backfill_starts_only_what_does_not_delay_the_first() -> None:
    cluster = Cluster()
    cluster.up("a", "b")
    cluster.pass_time(1)
    cluster.submit("1", runs=1000)
    cluster.pass_time(3)
    first = cluster.submit("2", nodes=2, priority=10)
    long, short = cluster.submit("3", runs=2000, priority=5), cluster.submit("4", runs=500, priority=1)
    cluster.pass_time(5)
    assert (first.state, long.state, short.state) == ("PENDING", "PENDING", "RUNNING")
    cluster.pass_time(1100)
    assert first.started is not None
    assert first.started < 1010


def test_an_open_node_that_is_off_is_powered_up_and_requeues_when_nobody_comes() -> None:
    cluster = Cluster()
    cluster.node("a").flags.discard("DRAIN")
    job = cluster.submit("1")
    cluster.pass_time(3)
    assert job.state == "CONFIGURING"
    assert "POWERING_UP" in cluster.flags("a")
    cluster.pass_time(100)
    assert (job.state, job.reason) == ("PENDING", "BeginTime")
    assert cluster.flags("a") == {"DOWN", "CLOUD", "POWERED_DOWN"}
    cluster.up("b")
    cluster.pass_time(110)
    assert job.state == "PENDING"  # it waits cred_expire + 1
    cluster.pass_time(15)
    assert job.state == "RUNNING"


def test_a_dead_vm_is_noticed_after_slurmd_timeout_and_its_job_requeued() -> None:
    cluster = Cluster()
    cluster.up("a")
    job = cluster.submit("1", runs=1000)
    cluster.pass_time(5)
    cluster.alive.discard("vm-a")
    cluster.slurm.look_after("a")
    cluster.pass_time(31)
    assert "NOT_RESPONDING" in cluster.flags("a")
    assert job.state == "RUNNING"
    cluster.pass_time(60)
    assert job.state == "PENDING"
    assert "DOWN" in cluster.flags("a")


def test_a_leaving_job_keeps_its_node_completing() -> None:
    cluster = Cluster()
    cluster.up("a")
    cluster.submit("1", runs=10)
    cluster.pass_time(3)
    while "COMPLETING" not in cluster.flags("a"):
        assert cluster.time.step()
    assert cluster.flags("a") == {"IDLE", "CLOUD", "COMPLETING"}
    assert cluster.node("a").picture().busy
    cluster.pass_time(1)
    assert not cluster.node("a").picture().busy


def test_an_arrays_throttle_and_a_time_limit_are_kept() -> None:
    cluster = Cluster()
    cluster.up("a")
    cluster.pass_time(1)
    array = SimJob("7", "cpu", 1, Resources(1, 1), 50, limit=40, tasks=[50.0] * 5, throttle=2)
    cluster.slurm.submit(array)
    cluster.pass_time(3)
    assert sorted(cluster.slurm.active) == ["7", "7_1", "7_2"]
    assert array.picture(cluster.time).count_pending == 3
    cluster.pass_time(45)
    assert sorted(cluster.slurm.active) == ["7", "7_3", "7_4"]
    cluster.pass_time(200)
    assert not cluster.slurm.active


def test_nobody_starts_into_a_maintenance() -> None:
    cluster = Cluster()
    cluster.up("a")
    cluster.pass_time(1)
    cluster.slurm.reservations.append(SimReservation("m", frozenset("a"), 50, 100))
    long, short = cluster.submit("1", runs=80), cluster.submit("2", runs=20)
    cluster.pass_time(5)
    assert (long.state, short.state) == ("PENDING", "RUNNING")


def test_a_reconfigure_gives_all_features_back() -> None:
    cluster = Cluster()
    node = cluster.node("a")
    cluster.slurm.bind(node, "10.77.1.9", frozenset({"cpu"}))
    assert node.picture().active_features == {"cpu"}
    cluster.slurm.reconfigure()
    assert node.picture().active_features == {"cpu", "own", "on-demand"}
    assert node.address == ""
