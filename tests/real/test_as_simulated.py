"""The simulated world goes the way of the real one: one scenario on real Slurm and local VMs, and in simulation.

Compared is the order of states of each claim, node and job, not when they come. Of claims the ledger holds all states,
so they have to be the same. Nodes and jobs are looked at from outside, again and again: of them a short state may be
missed, so what was seen has to stand in the simulated order, and COMPLETING is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest

from clues.config import load
from clues.errors import LrmsError
from clues.ledger import Ledger
from clues.model import Claim, ClusterSnapshot, Node, Resources
from clues.offline import build_lrms
from clues.registry import find_plugins
from clues.simulation.slurm.parts import OVER, SimJob
from clues.simulation.world import Design, World
from clues.simulation.worlds.profiles import CloudProfile, Delay, SlurmProfile
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

#: The lab's own times: no boot to speak of, SuspendTimeout 2 s, cred_expire 5 s.
CLOUD = CloudProfile(
    provision=Delay(0.3), boot=Delay(0.8), join=Delay(0.4), ending=Delay(0.3), latency=Delay(0.1), lag=Delay(0.0)
)
SLURM = SlurmProfile(power_down=2.0, requeue=6.0, slurmd_timeout=60.0)


@dataclass
class Record:
    """What was seen of one world."""

    #: by node, one list for each life between two times off
    lives: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    jobs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def see(self, snapshot: ClusterSnapshot) -> None:
        for name, node in snapshot.nodes.items():
            phase, lives = _phase(node), self.lives[name]
            if phase == "off":
                if not lives or lives[-1]:
                    lives.append([])
            elif lives and (not lives[-1] or lives[-1][-1] != phase):
                lives[-1].append(phase)
        for job in snapshot.jobs:
            seen = self.jobs[job.id]
            if job.state in ("PENDING", "RUNNING") and seen[-1:] != [job.state]:
                seen.append(job.state)

    def shapes(self) -> set[tuple[str, ...]]:
        """Return the lives that there were, on whichever node."""
        return {tuple(life) for lives in self.lives.values() for life in lives if life}


def _phase(node: Node) -> str:
    if node.off:
        return "off"
    if node.turning_off:
        return "powering down"
    if node.busy:
        return "busy, closed" if node.closed else "busy"
    return "closed" if node.closed else "open"


def _moves(ledger: Ledger, claim: Claim) -> list[str]:
    """Return the states that a claim went through."""
    texts = [note.text for note in ledger.notes(about=claim.key, limit=100)]
    moves = [found for text in texts if (found := re.match(r"(\w+) -> (\w+):", text))]
    return [moves[0][1], *(move[2] for move in moves)] if moves else []


def _by_job(ledger: Ledger, claims: Iterable[Claim], number: Callable[[str], int]) -> dict[int, list[list[str]]]:
    """Return what became of the claims that were made for each job, in the jobs' order."""
    found: dict[int, list[list[str]]] = defaultdict(list)
    for claim in claims:
        found[number(claim.jobs[0])].append(_moves(ledger, claim))
    return {job: sorted(moves) for job, moves in found.items()}


# --- the scenario, in the real world ---


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("twin"), cpu_nodes="cpu-[01-04]", vms={"cesnet": 2, "upv": 2}) as cluster:
        yield cluster


def _really(cluster: Trial, rounds: int) -> tuple[Record, dict[int, list[list[str]]], list[list[str]]]:
    record, ended = Record(), Event()
    lrms = build_lrms(load(cluster.config, find_plugins()), "")

    def watch() -> None:
        while not ended.wait(0.05):
            try:
                record.see(lrms.snapshot())
            except LrmsError:
                continue

    before = {claim.key for claim in cluster.claims()}
    watcher = Thread(target=watch)
    watcher.start()
    jobs = []
    try:
        for _ in range(rounds):
            cluster.settle(powered_down=True)
            jobs.append(cluster.submit("--cpus-per-task=4", seconds=1))
            cluster.completes(jobs[-1])
            cluster.settle(powered_down=True)
            jobs += [cluster.submit("--cpus-per-task=2", seconds=2) for _ in range(2)]
            for job in jobs[-2:]:
                cluster.completes(job)
            cluster.settle(powered_down=True)
            jobs.append(cluster.submit("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", seconds=1))
            cluster.completes(jobs[-1])
            cluster.settle(powered_down=True)
            jobs.append(cluster.submit("--cpus-per-task=4", seconds=3))
            cluster.running(jobs[-1])
            site, instance = cluster.living()[0].split("/")
            cluster.pull_the_plug(site, instance)
            cluster.completes(jobs[-1], timeout=90)
        cluster.settle(powered_down=True)
    finally:
        ended.set()
        watcher.join()
    claims = [claim for claim in cluster.claims() if claim.key not in before]
    moves = _by_job(cluster.ledger(), claims, lambda job: jobs.index(int(job)))
    return record, moves, [record.jobs[str(job)] for job in jobs]


# --- the same in simulation ---


def _simulated(cluster: Trial, rounds: int) -> tuple[Record, dict[int, list[list[str]]], list[list[str]]]:
    settings = load(cluster.config, find_plugins()).settings
    world = World(1, Design(settings, dict.fromkeys(settings.sites, CLOUD), SLURM))
    record, jobs = Record(), list[SimJob]()

    def until(holds: Callable[[], bool]) -> None:
        end = world.time.passed + 600
        while not holds():
            assert world.time.passed < end, "the simulated world does not come to it"
            world.run_until(world.time.passed + 0.05)
            record.see(world.lrms.picture())

    def submit(nodes: int, cpus: int, seconds: float) -> None:
        need = Resources(cpus, 256 * cpus)
        job = SimJob(str(len(jobs) + 1), "cpu", nodes, need, seconds, 300.0)
        jobs.append(job)
        world.submit(job)

    def rest() -> None:
        until(
            lambda: not world.daemon.books.claims and all(_rests(node) for node in world.lrms.picture().nodes.values())
        )

    for _ in range(rounds):
        rest()
        submit(1, 4, 1)
        until(lambda: jobs[-1].state in OVER)
        rest()
        submit(1, 2, 2)
        submit(1, 2, 2)
        until(lambda: all(job.state in OVER for job in jobs))
        rest()
        submit(2, 4, 1)
        until(lambda: jobs[-1].state in OVER)
        rest()
        submit(1, 4, 3)
        until(lambda: jobs[-1].state == "RUNNING")
        cloud, vm = next((cloud, vm) for cloud in world.clouds.values() for vm in cloud.living())
        cloud.lose(vm)
        until(lambda: jobs[-1].state in OVER)
    rest()
    claims = list(world.ledger.all_claims())
    moves = _by_job(world.ledger, claims, lambda job: int(job) - 1)
    return record, moves, [record.jobs[job.id] for job in jobs]


def _rests(node: Node) -> bool:
    return {"DRAIN", "POWERED_DOWN"} <= node.flags


def _as_obeyed_at_once(life: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the moment between two commands of one order: a node that is taken from a job is closed and idle until
    it is powered down. In simulation no time passes there."""
    between = ("busy, closed", "closed", "powering down")
    at = next((at for at in range(len(life)) if life[at : at + 3] == between), None)
    return life if at is None else (*life[: at + 1], *life[at + 2 :])


def _stands_in(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


@pytest.mark.parametrize("rounds", [1, pytest.param(2, marks=pytest.mark.slow)], ids=["once", "twice"])
def test_states_follow_each_other_as_in_simulation(cluster: Trial, rounds: int) -> None:
    record, claims, jobs = _really(cluster, rounds)
    simulated, claims_there, jobs_there = _simulated(cluster, rounds)
    assert claims == claims_there
    assert jobs == jobs_there
    really = {_as_obeyed_at_once(life) for life in record.shapes()}
    foreign = [life for life in really if not any(_stands_in(life, one) for one in simulated.shapes())]
    assert not foreign, f"{foreign} is none of {simulated.shapes()}"
