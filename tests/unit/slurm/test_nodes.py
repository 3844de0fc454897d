"""Node lines: every compound state as a set, admins' and workers' free texts harmless, unknown flags kept."""

import pytest

from clues.model import Gpu, Node
from lrms.slurm import nodes

LINE = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=1  CPUAlloc=1 CPUEfctv=8 CPUTot=8 CPULoad=0.37 "
    "AvailableFeatures=gpu,cesnet,upv ActiveFeatures=gpu,upv Gres=gpu:a10:2(S:0-1) GresDrain=N/A "
    "GresUsed=gpu:a10:1(IDX:0) NodeAddr=10.77.1.2 NodeHostName={name} Version=22.05.8 OS={os}  RealMemory=60000 "
    "AllocMem=1024 FreeMem=23776 Sockets=8 Boards=1 State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A "
    "MCS_label=N/A Partitions=gpu,short  BootTime=1795373130 SlurmdStartTime=1795373130 LastBusyTime=1795373131 "
    "CfgTRES=cpu=8,mem=60000M,billing=8 AllocTRES=cpu=1,mem=1G CapWatts=n/a ExtSensorsTemp=n/s{rest}\n"
)


def line(name: str = "gpu-01", state: str = "MIXED+CLOUD", os: str = "Linux 6.1 #1 SMP", rest: str = "") -> str:
    return LINE.format(name=name, state=state, os=os, rest=rest)


def read(text: str) -> Node:
    found, problems = nodes.read_nodes(text)
    assert not problems
    (node,) = found.values()
    return node


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("IDLE+CLOUD+POWERED_DOWN", "IDLE CLOUD POWERED_DOWN"),
        ("MIXED+CLOUD", "MIXED CLOUD"),
        ("ALLOCATED+DRAIN", "ALLOCATED DRAIN"),
        ("IDLE*", "IDLE NOT_RESPONDING"),
        ("DOWN*+CLOUD", "DOWN CLOUD NOT_RESPONDING"),
        ("DOWN+CLOUD+NOT_RESPONDING", "DOWN CLOUD NOT_RESPONDING"),
        ("ALLOCATED+CLOUD+POWERING_UP", "ALLOCATED CLOUD POWERING_UP"),
        ("DOWN+CLOUD+DRAIN+POWER_DOWN", "DOWN CLOUD DRAIN POWER_DOWN"),
        ("IDLE+CLOUD+MAINTENANCE+RESERVED", "IDLE CLOUD MAINTENANCE RESERVED"),
        ("idle~", "IDLE POWERED_DOWN"),
        ("mixed#", "MIXED POWERING_UP"),
        ("idle%", "IDLE POWERING_DOWN"),
        ("idle!", "IDLE POWER_DOWN"),
        ("idle@", "IDLE REBOOT_REQUESTED"),
        ("idle^*", "IDLE REBOOT_ISSUED NOT_RESPONDING"),
        ("idle$", "IDLE MAINTENANCE"),
        ("idle-", "IDLE PLANNED"),
        ("drained~", "IDLE DRAIN POWERED_DOWN"),
        ("inval", "INVALID_REG"),
    ],
)
def test_every_form_of_a_state_becomes_a_set_of_flags(text: str, flags: str) -> None:
    assert nodes.read_flags(text) == frozenset(flags.split())
    assert read(line(state=text)).understood


def test_a_flag_that_is_not_known_is_kept_and_makes_the_node_not_understood() -> None:
    node = read(line(state="IDLE+CLOUD+BLOCKED"))
    assert "BLOCKED" in node.flags
    assert not node.understood


def test_everything_of_a_node_is_read() -> None:
    node = read(line(rest=" Reason=bad disk, see #7 a=b [alice@1795373131]"))
    assert (node.capacity.cpus, node.capacity.memory_mib, node.capacity.gpus) == (8, 60000, (Gpu("a10", 2),))
    assert (node.used.cpus, node.used.memory_mib, node.used.gpus) == (1, 1024, (Gpu("a10", 1),))
    assert (node.features, node.active_features) == (frozenset({"gpu", "cesnet", "upv"}), frozenset({"gpu", "upv"}))
    assert node.partitions == {"gpu", "short"}
    assert node.address == "10.77.1.2"
    assert node.reason == "bad disk, see #7 a=b"
    assert node.slurmd_started is not None
    assert node.last_busy is not None


def test_the_slurmd_of_a_machine_that_is_off_has_no_start() -> None:
    assert read(line(state="DOWN+CLOUD+POWERED_DOWN")).slurmd_started is None


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", ""),
        (" Reason=clues:off [root@1795373768]", "clues:off"),
        (" Reason=two [root@1795373768]        lines [x@1]", "two"),
        (" Reason=real [root@1] Comment=c State=FOO Reason=fake [root@1] Extra=e CPUAlloc=9", "real"),
        (' Reason=it\'s "odd" x=y é [slurm@1795373768]', 'it\'s "odd" x=y é'),
        (" Reason=Not responding [slurm@2026-11-22T18:44:06]", "Not responding"),
    ],
)
def test_a_reason_is_read_up_to_its_writer(rest: str, reason: str) -> None:
    node = read(line(rest=rest))
    assert node.reason == reason
    assert node.flags == {"MIXED", "CLOUD"}
    assert node.used.cpus == 1


def test_a_line_smuggled_into_another_node_is_told_and_the_node_left_out() -> None:
    forged = line("gpu-02", state="IDLE+CLOUD").rstrip("\n")
    text = line("gpu-01", os=f"Linux\n{forged}") + line("gpu-02", state="ALLOCATED+CLOUD")
    found, problems = nodes.read_nodes(text)
    assert "gpu-02" not in found
    assert any("gpu-02" in problem and "2 times" in problem for problem in problems)


def test_a_line_without_its_fields_is_told_and_the_others_are_read() -> None:
    found, problems = nodes.read_nodes("NodeName=x State=IDLE\nnonsense\n" + line())
    assert set(found) == {"gpu-01"}
    assert len(problems) == 2


def test_an_output_that_was_cut_off_is_no_shorter_list() -> None:
    with pytest.raises(ValueError, match="middle of a line"):
        nodes.read_nodes(line("gpu-01") + line("gpu-02")[:-20])
