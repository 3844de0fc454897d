"""What the demo submits: the fixed set that shows every kind of job, or random work from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, NamedTuple


class Task(NamedTuple):
    """One job of Slurm, or one task of an array; its name says which."""

    name: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Submission:
    """One call of sbatch, and what happens to it."""

    name: str
    options: tuple[str, ...] = ()
    #: seconds that the job's own work takes
    seconds: float = 1.0
    tasks: int = 1
    nodes: int = 1
    #: seconds after the start of the demo at which it is submitted; held until; cancelled at
    at: float = 0.0
    hold_for: float = 0.0
    cancel_after: float = 0.0
    #: no node can ever hold it: Slurm has to refuse it
    impossible: bool = False
    #: MiB that the nodes of a gang of two send each other, there and back
    exchange_mib: int = 0

    def all_tasks(self) -> list[Task]:
        """Its tasks as the summary names them."""
        if self.tasks == 1:
            return [Task(self.name, self.nodes)]
        return [Task(f"{self.name}_{number}", self.nodes) for number in range(1, self.tasks + 1)]


def fixed() -> list[Submission]:
    """The demonstration: an array, GPUs, a gang, a pinned job, and one that nothing can hold."""
    return [
        Submission("array", ("--array=1-8", "--cpus-per-task=1"), seconds=3, tasks=8),
        Submission("gpu-a", ("--partition=gpu", "--gres=gpu:a10:1"), seconds=3),
        Submission("gpu-b", ("--partition=gpu", "--gpus=1"), seconds=3),
        Submission("gang", ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4"), seconds=2, nodes=2),
        Submission("pinned", ("--constraint=upv", "--cpus-per-task=2"), seconds=2),
        Submission("impossible", ("--partition=gpu", "--gres=gpu:9"), impossible=True),
    ]


def spanning() -> list[Submission]:
    """One gang of two whole nodes that send each other data; where each site has room for one, it spans two."""
    options = ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4")
    return [Submission("span", options, nodes=2, exchange_mib=16)]


def shuffled(seed: int, count: int = 14) -> list[Submission]:
    """Random work: mixed sizes, arrays, gangs, GPUs; some are held for a while, some are cancelled."""
    dice = random.Random(seed)
    work = []
    for number in range(count):
        kind = dice.choices(("plain", "array", "gang", "gpu", "pinned"), (5, 3, 2, 2, 2))[0]
        name, seconds, at = f"{kind}-{number}", dice.uniform(0.3, 3.0), dice.uniform(0, 8)
        hold = dice.uniform(1, 4) if dice.random() < 0.15 else 0.0
        cancel = dice.uniform(0.2, 4) if dice.random() < 0.15 else 0.0
        size = dice.choice((1, 1, 2, 4))
        common: dict[str, Any] = {"seconds": seconds, "at": at, "hold_for": hold, "cancel_after": cancel}
        if kind == "array":
            tasks = dice.randint(2, 6)
            limit = f"%{dice.randint(1, 3)}" if dice.random() < 0.3 else ""
            work.append(
                Submission(name, (f"--array=1-{tasks}{limit}", f"--cpus-per-task={size}"), tasks=tasks, **common)
            )
        elif kind == "gang":
            nodes = dice.randint(2, 3)
            options = (f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={size}")
            work.append(Submission(name, options, nodes=nodes, **common))
        elif kind == "gpu":
            work.append(Submission(name, ("--partition=gpu", "--gres=gpu:1"), **common))
        elif kind == "pinned":
            site = dice.choice(("cesnet", "upv"))
            work.append(Submission(name, (f"--constraint={site}", f"--cpus-per-task={size}"), **common))
        else:
            work.append(Submission(name, (f"--cpus-per-task={size}",), **common))
    return work
