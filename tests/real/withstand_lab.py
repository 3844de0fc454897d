"""What the tests of withstanding share: a lab cluster in a hurry, and short questions to it.

One cluster serves all tests of a module, as starting Slurm is the dear part. So each test leaves it as it found it: no
faults programmed, no VM, no job, every node closed by us (`Trial.settle`). That is a check of its own as well: whatever
was done to the cluster, it converges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from clues.model import Claim
from tests.lab.cluster import Cluster, Plan
from tests.lab.frontend import wait_for

T = TypeVar("T")

#: What the hurry is: a node counts as powering down for 2 s instead of 5.
HURRY = "\nSuspendTimeout=2\n"

#: Every job notes each of its starts, with the node, the time and the address of the VM, and its end.
SCRIPT = """
echo "$SLURMD_NODENAME $(date +%s.%N) $(hostname -I)" >>"ran-$SLURM_JOB_ID"
[ "$SLURM_JOB_NUM_NODES" = 1 ] || srun hostname >"hosts-$SLURM_JOB_ID"
sleep {seconds}
date +%s.%N >>"ended-$SLURM_JOB_ID"
"""


class Run(NamedTuple):
    """One start of a job: on which node, when, at which address, which says the VM."""

    node: str
    at: float
    address: str


class Trial(Cluster):
    """A lab cluster with the questions that these tests ask."""

    def submit(self, *options: str, seconds: float = 0.3) -> int:
        """Submit a job that works for so many seconds; its id."""
        return self.front.sbatch(SCRIPT.format(seconds=seconds), "--time=5", *options)

    def completes(self, job: int, timeout: float = 40) -> list[Run]:
        """Wait until the job has completed; where it was started, each time."""
        self.front.wait_job(job, "COMPLETED", timeout=timeout)
        return self.runs(job)

    def runs(self, job: int) -> list[Run]:
        """Every start of the job until now."""
        path = self.home / f"ran-{job}"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Run(node, float(at), address) for node, at, address, *_ in (line.split() for line in lines)]

    def running(self, job: int, timeout: float = 30) -> Run:
        """Wait until the job runs; its latest start."""
        self.front.wait_job(job, "RUNNING", timeout=timeout)
        return self.until("the job's first line", lambda: self.runs(job))[-1]

    def claim_at(self, address: str) -> Claim:
        """The latest claim of the VM at an address."""
        return max((one for one in self.claims() if one.address == address), key=lambda one: one.created_at)

    def hosts(self, job: int) -> list[str]:
        """The nodes that a gang ran on."""
        return sorted((self.home / f"hosts-{job}").read_text().split())

    def explain(self, subject: str | int) -> str:
        """`clues explain`."""
        text: str = self.get(f"explain/{subject}")["text"]
        return text

    def status(self) -> dict[str, Any]:
        """`clues status`."""
        status: dict[str, Any] = self.get("status")
        return status

    def verdict(self, job: int) -> str:
        """What the daemon thinks stands between the job and its nodes; empty when it does not know the job yet."""
        found: list[str] = [one["verdict"] for one in self.get("jobs")["jobs"] if one["id"] == str(job)]
        return found[0] if found else ""

    def observation(self, source: str) -> dict[str, Any]:
        """How fresh what the daemon knows of a source is."""
        found: dict[str, Any] = next(one for one in self.status()["observations"] if source in one["source"])
        return found

    def texts(self, about: str) -> list[str]:
        """The events about a node, job or site, oldest first."""
        return [event["text"] for event in self.get("events", about=about, limit=500)["events"]]

    def claims_for(self, job: int) -> list[Claim]:
        """The claims that were made for a job, in their order."""
        return sorted((one for one in self.claims() if str(job) in one.jobs), key=lambda one: one.created_at)

    def last_claim(self, node: str) -> Claim:
        """The latest claim of a node."""
        return max((one for one in self.claims() if one.node == node), key=lambda one: one.generation)

    def launched(self, site: str) -> list[str]:
        """The launch keys that the site was asked for, in order, repetitions included."""
        return [key for call in self.calls(site) if call.get("call") == "launch" for key in call["keys"]]

    def asked_for(self) -> int:
        """How many launches all sites together were asked for."""
        return sum(len(self.launched(site)) for site in self.plan.vms)

    def ticks_pass(self, count: int = 3, timeout: float = 20) -> None:
        """Wait until the daemon has taken so many more decisions."""
        goal = self.status()["tick"] + count
        self.until(f"{count} ticks", lambda: self.status()["tick"] >= goal, timeout)

    def until(self, what: str, holds: Callable[[], T], timeout: float = 20) -> T:
        """Wait until something is true, or not empty; what it then is."""
        return wait_for(what, lambda: holds() or None, timeout, self.picture)

    def until_state(self, node: str, state: str, timeout: float = 20) -> None:
        """Wait until the daemon shows the node in a state."""
        self.until(f"{node} to be {state}", lambda: self.nodes()[node]["state"] == state, timeout)

    def picture(self) -> str:
        """What a person who looks for the fault wants to see."""
        nodes = [f"{n['name']} {n['state']} {'+'.join(n['slurm'])} {n['reason']}" for n in self.nodes().values()]
        jobs = [
            f"{j['id']} {j['state']} {j['verdict']} {j['why']} ({j['slurm_reason']})" for j in self.get("jobs")["jobs"]
        ]
        return "\n".join(["", *nodes, *jobs, *self.status()["troubles"], self.daemon_log(25)])

    def settle(self, timeout: float = 40, *, powered_down: bool = False) -> None:
        """Clear all faults and jobs away and wait until no VM is left and every node is closed by us.

        *powered_down*: and may have its next VM, which takes Slurm a while longer.
        """
        for site in self.plan.vms:
            self.faults(site).clear()
        self.front.run(["scancel", "--user=clues"], check=False)

        def settled() -> bool:
            nodes = self.nodes().values()
            if self.plan.eager:
                off = all("POWERED_DOWN" in node["slurm"] for node in nodes)
                closed = {node["name"] for node in nodes if {"DRAIN", "DOWN"} & set(node["slurm"])}
                planned = {node["name"] for node in nodes if node["pool"] not in self.plan.eager}
                return off and closed == planned and not self.living()
            if powered_down or all(node["state"] == "off" for node in nodes):
                return all(node["state"] == "off" and {"DRAIN", "POWERED_DOWN"} <= set(node["slurm"]) for node in nodes)
            return not self.living() and all(node["state"] in ("off", "stopping") for node in nodes)

        self.until("the cluster to have settled", settled, timeout)


def in_a_hurry(pace: Mapping[str, str] | None = None, slurm_conf: str = "", **plan: Any) -> Plan:
    """Return a plan; what is not said is quick: no boot time, idle for 1 s, breakers of 2 s.

    Addresses rest for longer than any test takes: so an address says which VM it was.
    """
    rhythm = {"retry_offer": "2s", "retry_offer_longest": "4s", "quarantine": "5min", **(pace or {})}
    return Plan(**{"idle": "1s", "pace": rhythm, "slurm_conf": HURRY + slurm_conf, **plan})


@contextmanager
def trial(folder: Path, pace: Mapping[str, str] | None = None, slurm_conf: str = "", **plan: Any) -> Iterator[Trial]:
    """A running cluster in `folder`, in a hurry."""
    cluster = Trial(folder, in_a_hurry(pace, slurm_conf, **plan))
    with cluster:
        yield cluster
