"""The ground: a real slurmctld with closed cloud nodes, walked through three lives of one node.

What Slurm 22.05.8 was seen to do, with `PrivateData=cloud`, ReturnToService=1, SuspendTimeout=3. All states are
+CLOUD too; the node's reason stands in brackets, [-] is none.

    step             first life                              later lives
    declared         IDLE+POWERED_DOWN [-]: open             -
    drain            IDLE+DRAIN+POWERED_DOWN [clues:off]     (from the end of the life before)
    nodeaddr=, activefeatures=: accepted, kept until and after the registration
    slurmd registers IDLE+DRAIN [-]                          DOWN+DRAIN [-]; with -b [Node unexpectedly rebooted]
    resume           IDLE+NOT_RESPONDING, then IDLE          the same; IDLE 0.3 to 0.7 s later
    (or undrain)     the same                                DOWN: still closed
    job runs         MIXED, 1.6 to 1.9 s after resume        the same
    drain            MIXED+DRAIN, then IDLE+DRAIN            the same
    down             DOWN+DRAIN [clues:off]                  the same; stays, also if slurmd lives or registers again
    power_down       DOWN+DRAIN+POWER_DOWN, 0.9 s later DOWN+POWERING_DOWN (DRAIN is gone), 4 s later DOWN+POWERED_DOWN
    drain            DOWN+DRAIN+POWERED_DOWN [clues:off]     the same

- `state=resume` opens from IDLE+DRAIN, DOWN+DRAIN and DOWN alike. On a node that is open already it fails ("Invalid
  node state specified"), where undrain does nothing and succeeds.
- Registration takes the reason away (an admin's too), or writes its own with slurmd -b (DOWN+DRAIN, powered down
  before), as it must be expected of a VM that has just booted.
- `slurmd -b` is not needed on closed nodes (no power_up). With it, the boot time jumps by a rounded second: a node that
  was opened within a second of registering went DOWN, [Node unexpectedly rebooted], its job stayed pending (3 of 25).
- power_down on a node that is POWERED_DOWN starts over: DRAIN goes again, POWERING_DOWN lasts a SuspendTimeout.
- A slurmd that registers while its node is POWERING_DOWN is not seen; resume then ends in IDLE+POWERED_DOWN+
  NOT_RESPONDING, which Slurm may allocate. Launch only when POWERED_DOWN was seen.
- A closed node's NodeAddr falls back to slurm.conf's at a reconfigure; it survives power_down, restart and kill -9.
  Its ActiveFeatures survive power_down and registration; reconfigure, restart and kill -9 lose them.
- `slurmctld -c` forgets everything: IDLE+POWERED_DOWN, open.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.frontend import FrontEnd, LabError, wait_for
from tests.lab.machine import Machine

pytestmark = pytest.mark.real


def close_declared(front: FrontEnd) -> None:
    front.update_node("c[1-6]", "state=drain", "reason=clues:off")
    assert front.node_flags("c1") == {"IDLE", "CLOUD", "DRAIN", "POWERED_DOWN"}


def power_down(front: FrontEnd, machine: Machine) -> None:
    front.update_node(machine.node, "state=down", "reason=clues:off")
    assert front.node_flags(machine.node) == {"DOWN", "CLOUD", "DRAIN"}
    front.update_node(machine.node, "state=power_down")
    front.wait_node(machine.node, "DOWN", "CLOUD", "POWERED_DOWN", without=["POWERING_DOWN"])
    machine.pull_the_plug()
    front.update_node(machine.node, "state=drain", "reason=clues:off")
    assert front.node_flags(machine.node) == {"DOWN", "CLOUD", "DRAIN", "POWERED_DOWN"}


def test_a_node_lives_three_times_and_no_job_starts_before_it_is_opened(front: FrontEnd) -> None:
    assert front.node_flags("c1") == {"IDLE", "CLOUD", "POWERED_DOWN"}
    close_declared(front)
    for life in (1, 2, 3):
        base = "IDLE" if life == 1 else "DOWN"
        job = front.sbatch("hostname; echo $CUDA_VISIBLE_DEVICES", "--nodelist=c1", "--gres=gpu:2")
        front.update_node("c1", f"nodeaddr=10.77.1.{life}", "nodehostname=c1")
        front.update_node("c1", "activefeatures=cpu,upv")
        with Machine(front, "c1", f"10.77.1.{life}") as machine:
            assert front.wait_node("c1", without=["POWERED_DOWN"]) == {base, "CLOUD", "DRAIN"}
            assert front.node_field("c1", "NodeAddr") == f"10.77.1.{life}"
            assert front.node_field("c1", "ActiveFeatures") == "cpu,upv"
            assert front.job_state(job) == "PENDING"
            front.update_node("c1", "state=resume")
            assert front.wait_job(job, "COMPLETED", "FAILED") == "COMPLETED"
            assert (front.folder / "home" / f"slurm-{job}.out").read_text() == "c1\n0,1\n"
            front.update_node("c1", "state=drain", "reason=clues:idle")
            front.wait_node("c1", "IDLE", "DRAIN")
            power_down(front, machine)


def test_undrain_does_not_open_a_node_that_is_down(front: FrontEnd) -> None:
    close_declared(front)
    front.update_node("c1", "nodeaddr=10.77.1.1")
    with Machine(front, "c1", "10.77.1.1"):
        front.wait_node("c1", "IDLE", "DRAIN", without=["POWERED_DOWN"])
        front.update_node("c1", "state=down", "reason=clues:off")
        front.update_node("c1", "state=undrain")
        assert "DOWN" in front.wait_node("c1", without=["DRAIN", "NOT_RESPONDING"])
        front.update_node("c1", "state=resume")
        assert front.wait_node("c1", "IDLE", without=["NOT_RESPONDING"]) == {"IDLE", "CLOUD"}
        with pytest.raises(LabError, match="Invalid node state"):
            front.update_node("c1", "state=resume")


def test_a_gang_starts_when_its_nodes_are_opened_together(front: FrontEnd) -> None:
    close_declared(front)
    job = front.sbatch("srun hostname", "--nodes=2")
    for number in (1, 2):
        front.update_node(f"c{number}", f"nodeaddr=10.77.1.{number}")
    with Machine(front, "c1", "10.77.1.1"), Machine(front, "c2", "10.77.1.2"):
        for node in ("c1", "c2"):
            front.wait_node(node, "IDLE", "DRAIN", without=["POWERED_DOWN"])
        assert front.job_state(job) == "PENDING"
        front.update_node("c[1-2]", "state=resume")
        assert front.wait_job(job, "COMPLETED", "FAILED") == "COMPLETED"
    output = (front.folder / "home" / f"slurm-{job}.out").read_text()
    assert sorted(output.split()) == ["c1", "c2"]


def test_a_machine_whose_plug_is_pulled_takes_its_job_with_it(front: FrontEnd) -> None:
    close_declared(front)
    front.update_node("c1", "nodeaddr=10.77.1.1")
    with Machine(front, "c1", "10.77.1.1") as machine:
        front.wait_node("c1", "IDLE", "DRAIN", without=["POWERED_DOWN"])
        front.update_node("c1", "state=resume")
        job = front.sbatch("exec sleep 86399", "--nodelist=c1")
        front.wait_job(job, "RUNNING")
        wait_for("the job's process", lambda: "sleep 86399" in processes() or None, 10)
        machine.pull_the_plug()
        wait_for("the job's end", lambda: "sleep 86399" not in processes() or None, 5)
        front.update_node("c1", "state=down", "reason=clues:gone")
        assert front.wait_job(job, "PENDING") == "PENDING"  # requeued at once, not after SlurmdTimeout


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_what_slurmctld_keeps_of_a_closed_node(front: FrontEnd) -> None:
    def bind() -> None:
        front.update_node("c1", "nodeaddr=10.77.1.1")
        front.update_node("c1", "activefeatures=cpu,upv")

    close_declared(front)
    bind()
    front.restart_slurmctld()
    assert front.node_field("c1", "NodeAddr") == "10.77.1.1"
    assert front.node_field("c1", "ActiveFeatures") == "cpu,cesnet,upv"
    bind()
    front.kill_slurmctld()
    front.restart_slurmctld()
    assert front.node_field("c1", "NodeAddr") == "10.77.1.1"
    assert "DRAIN" in front.node_flags("c1")
    bind()
    front.scontrol("reconfigure")
    front.wait_node("c1", "DRAIN")
    assert front.node_field("c1", "NodeAddr") == "10.77.255.254"
    front.restart_slurmctld(clean=True)
    assert front.node_flags("c1") == {"IDLE", "CLOUD", "POWERED_DOWN"}


@pytest.mark.parametrize(
    "command",
    ["squeue", "sinfo", "sdiag", "squeue --json", "scontrol -o show node", "scontrol ping",
     "scontrol update nodename=c1 state=drain reason=clues:off", "scontrol update nodename=c1 nodeaddr=10.77.1.9",
     "scontrol reconfigure"],
)  # fmt: skip
def test_the_sandbox_s_root_commands_slurm_without_a_second_user_namespace(front: FrontEnd, command: str) -> None:
    assert front.run(command.split(), as_root=True).returncode == 0


def test_a_slurmctld_that_stands_still_times_commands_out(front: FrontEnd) -> None:
    with front.frozen(), pytest.raises(subprocess.TimeoutExpired):
        front.run(["sdiag"], timeout=1.0)
    assert front.run(["sdiag"]).returncode == 0


def test_the_munge_key_is_for_nobody_else_and_another_slurm_is_not_seen(front: FrontEnd) -> None:
    assert (front.folder / "etc" / "munge.key").stat().st_mode & 0o777 == 0o600
    assert not Path("/etc/slurm").exists()
    bare = {key: value for key, value in front.env.items() if key != "SLURM_CONF"}
    assert subprocess.run(["sinfo"], env=bare, capture_output=True).returncode != 0
