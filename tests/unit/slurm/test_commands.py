"""What no real controller shows on demand: flags that nobody knows yet, and a job that only squeue sees.

Stand-ins for scontrol and squeue print a given state and note what they were asked to change; everything else about
commands is tried on the real ones in ``tests/real/test_slurm.py``.
"""

from pathlib import Path

import pytest

from clues.errors import LrmsError
from lrms.slurm.commands import Commands
from lrms.slurm.tools import Tools
from tests.unit.slurm.test_nodes import line


class Stand:
    """A folder of stand-ins."""

    def __init__(self, folder: Path, nodes: str, held: str = "") -> None:
        self.folder = folder
        (folder / "nodes").write_text(nodes)
        (folder / "held").write_text(held)
        self._script("scontrol", f'case "$*" in *show*) cat {folder}/nodes;; *) echo "$*" >> {folder}/done;; esac')
        self._script("squeue", f"cat {folder}/held")
        self.commands = Commands(Tools(bin=folder), frozenset(f"gpu-{number:02}" for number in range(1, 21)))

    def _script(self, name: str, text: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
        (self.folder / name).chmod(0o755)

    @property
    def done(self) -> list[str]:
        path = self.folder / "done"
        return path.read_text().splitlines() if path.exists() else []


def idle(name: str, state: str = "IDLE+CLOUD+DRAIN", reason: str = "clues:idle") -> str:
    text = line(name, state, rest=f" Reason={reason} [root@1]")
    return text.replace("CPUAlloc=1", "CPUAlloc=0")


NAMES = [f"gpu-{number:02}" for number in range(1, 21)]


def test_many_nodes_take_two_commands(tmp_path: Path) -> None:
    stand = Stand(tmp_path, "".join(idle(name) for name in NAMES))
    assert stand.commands.power_off(NAMES, "clues:off", vanished=False) == tuple(NAMES)
    assert stand.done == [
        "update nodename=gpu-[01-20] state=down reason=clues:off",
        "update nodename=gpu-[01-20] state=power_down",
    ]


def test_a_gang_is_opened_in_one_command(tmp_path: Path) -> None:
    stand = Stand(tmp_path, "".join(idle(name) for name in NAMES))
    stand.commands.open(NAMES)
    assert stand.done == ["update nodename=gpu-[01-20] state=resume"]


@pytest.mark.parametrize("vanished", [False, True])
def test_nothing_destructive_follows_from_a_flag_that_is_not_known(tmp_path: Path, vanished: bool) -> None:
    stand = Stand(tmp_path, idle("gpu-01", "IDLE+CLOUD+DRAIN+BLOCKED") + idle("gpu-02"))
    assert stand.commands.power_off(["gpu-01", "gpu-02"], "clues:off", vanished=vanished) == ("gpu-02",)
    with pytest.raises(LrmsError, match="gpu-01 has a state that is not known here: BLOCKED"):
        stand.commands.open(["gpu-01"])


def test_a_node_on_which_squeue_sees_a_job_is_not_powered_off(tmp_path: Path) -> None:
    stand = Stand(tmp_path, idle("gpu-01") + idle("gpu-02"), held="gpu-[02-03]\n")
    assert stand.commands.power_off(["gpu-01", "gpu-02"], "clues:off", vanished=False) == ("gpu-01",)


def test_reasons_of_different_people_are_each_kept(tmp_path: Path) -> None:
    stand = Stand(tmp_path, idle("gpu-01") + idle("gpu-02", reason="bad disk") + idle("gpu-03", "IDLE+CLOUD"))
    stand.commands.drain(["gpu-01", "gpu-02", "gpu-03"], "clues:off")
    assert stand.done == ["update nodename=gpu-[01,03] state=drain reason=clues:off"]


def test_a_node_that_is_named_twice_is_not_touched(tmp_path: Path) -> None:
    stand = Stand(tmp_path, idle("gpu-01") + idle("gpu-01", "ALLOCATED+CLOUD"))
    with pytest.raises(LrmsError, match="Slurm does not show gpu-01"):
        stand.commands.power_off(["gpu-01"], "clues:off", vanished=True)
    assert stand.done == []
