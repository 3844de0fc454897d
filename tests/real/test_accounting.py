"""What jobs cost, with a real slurmdbd: which jobs ran where is read as Slurm keeps it, and shared out to the cent."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.model import JobUse, SpentRow
from clues.planner.money.sharing import share_out
from lrms.slurm.accounting import read_uses
from lrms.slurm.tools import Tools
from tests.lab.accounting import AccountingFrontEnd
from tests.lab.machine import Machine
from tests.unit.builders import make_claim, make_offer

pytestmark = pytest.mark.real

NODES = """\
NodeName=c[1-2] CPUs=2 RealMemory=1000 Gres=gpu:2 NodeAddr=10.77.255.254
PartitionName=main Nodes=ALL Default=YES
"""
GRES = "NodeName=c[1-2] Name=gpu File=/dev/null\nNodeName=c[1-2] Name=gpu File=/dev/zero\n"
SHORT, LONG = "#!/bin/sh\nsleep 1\n", "#!/bin/sh\nsleep 600\n"


def test_who_ran_where_is_read_from_slurmdbd_and_costs_add_up(tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    with (
        AccountingFrontEnd(
            tmp_path / "front end", accounts=("physics", "art"), nodes_conf=NODES, gres_conf=GRES
        ) as front,
        ExitStack() as machines,
    ):
        for number in (1, 2):
            front.update_node(f"c{number}", f"nodeaddr=10.77.1.{number}")
            machines.enter_context(Machine(front, f"c{number}", f"10.77.1.{number}"))
        for node in ("c1", "c2"):
            front.wait_node(node, "IDLE")
        gpu = front.sbatch(SHORT, "--account=physics", "--gres=gpu:1")
        front.wait_job(gpu, "COMPLETED")
        both = front.sbatch(SHORT, "--account=art", "--nodes=2", "--ntasks=4")
        front.wait_job(both, "COMPLETED")
        waits = front.sbatch(SHORT, "--account=art", "--begin=now+1hour")
        runs = front.sbatch(LONG, "--account=art")
        front.wait_job(runs, "RUNNING")
        tools = Tools(conf=front.folder / "etc" / "slurm.conf")
        uses = _when_told(tools, began, {str(gpu), str(both), str(runs)})

    assert str(waits) not in uses, "what has not run has cost nothing"
    assert [(uses[str(job)].account, uses[str(job)].user) for job in (gpu, both)] == [
        ("physics", "clues"),
        ("art", "clues"),
    ]
    assert (uses[str(gpu)].nodes, uses[str(gpu)].cpus, uses[str(gpu)].gpus) == (("c1",), 1, 1)
    assert (uses[str(both)].nodes, uses[str(both)].cpus, uses[str(both)].gpus) == (("c1", "c2"), 4, 0)
    assert uses[str(runs)].end is None
    for use in uses.values():
        assert began < use.begin <= (use.end or datetime.now(UTC)) <= datetime.now(UTC) + timedelta(seconds=1)

    offer = make_offer(price_per_hour=1.0)
    vms = [make_claim(f"c{n}", pool="cpu", offer=offer, launched_at=began, used_at=began) for n in (1, 2)]
    hour = uses[str(gpu)].begin.replace(minute=0, second=0, microsecond=0)
    rows = [SpentRow(hour, "cpu", "cesnet", account, 7.0) for account in ("physics", "art", "")]
    shares = list(share_out(rows, vms, list(uses.values()), datetime.now(UTC)))
    assert sum(one.amount for one in shares) == pytest.approx(21.0)
    assert {one.job for one in shares if one.account == "physics"} == {str(gpu)}


def _when_told(tools: Tools, began: datetime, jobs: set[str]) -> dict[str, JobUse]:
    """slurmctld tells slurmdbd of a job a moment later."""
    deadline = time.monotonic() + 20
    while True:
        found = {one.job: one for one in read_uses(tools, began, datetime.now(UTC) + timedelta(minutes=1))}
        ended = [job for job, one in found.items() if one.end is not None]
        if jobs <= found.keys() and len(ended) >= len(jobs) - 1:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
