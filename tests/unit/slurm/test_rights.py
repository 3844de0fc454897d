"""Whether Slurm obeys the daemon's user: by what slurmctld 22.05.8 was seen to print."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from clues.errors import LrmsError
from clues.model import Soundness
from lrms.slurm.rights import look
from lrms.slurm.tools import Tools

HEAD = "Current Association Manager state\nUser Records\n"
NOBODY = "Current Association Manager state\nNo users currently cached in Slurm.\n\n"
#: the second was added before the system knew of them
OTHERS = "UserName=root(0) DefAccount=root DefWckey= AdminLevel=Administrator\n"
OTHERS += "UserName=bin(4294967294) DefAccount=(null) DefWckey=(null) AdminLevel=Not Set\n"


def tools(folder: Path, users: str, *, slurm_user: str = "slurm(64030)", keeps: str = "slurmdbd") -> Tools:
    config = f"AccountingStorageType   = accounting_storage/{keeps}\nSlurmUser               = {slurm_user}\n"
    script = folder / "scontrol"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in "show config") printf %s {shlex.quote(config)};;\n'
        f'"-o show assoc_mgr flags=users users="*) printf %s {shlex.quote(users)};; *) exit 1;; esac\n'
    )
    script.chmod(0o755)
    return Tools(bin=folder)


def record(level: str, uid: int) -> str:
    return f"{HEAD}{OTHERS}UserName=clues({uid}) DefAccount=physics DefWckey= AdminLevel={level}\n"


@pytest.mark.parametrize("level", ["Operator", "Administrator"])
def test_an_operator_is_obeyed(tmp_path: Path, level: str) -> None:
    found = look(tools(tmp_path, record(level, 12345)), 12345)
    assert (found.soundness, found.text) == (Soundness.GOOD, f"it obeys 12345, who is an {level.lower()}")


@pytest.mark.parametrize(
    ("users", "cure"),
    [
        (record("None", 12345), "`sacctmgr modify user 12345 set adminlevel=operator`"),
        (record("Not Set", 12345), "`sacctmgr modify user 12345 set adminlevel=operator`"),
        (record("Operator", 54321), "`sacctmgr add user 12345 account=root adminlevel=operator`"),
        (NOBODY, "`sacctmgr add user 12345 account=root adminlevel=operator`"),
    ],
    ids=["none", "not set", "somebody else is", "unknown"],
)
def test_who_is_no_operator_is_told_how_to_become_one(tmp_path: Path, users: str, cure: str) -> None:
    found = look(tools(tmp_path, users), 12345)
    assert (found.soundness, found.cure) == (Soundness.BAD, cure)
    assert "no reservation is made for a maintenance" in found.text


def test_root_and_slurmuser_are_obeyed_whatever_accounting_says(tmp_path: Path) -> None:
    assert look(tools(tmp_path, NOBODY, keeps="none"), 0).soundness is Soundness.GOOD
    found = look(tools(tmp_path, NOBODY, slurm_user="clues(12345)", keeps="none"), 12345)
    assert (found.soundness, found.text) == (Soundness.GOOD, "it obeys 12345, who is SlurmUser")


def test_without_accounting_nobody_else_is_whatever_is_left_of_it(tmp_path: Path) -> None:
    found = look(tools(tmp_path, record("Operator", 12345), keeps="none"), 12345)
    assert found.soundness is Soundness.BAD
    assert "obeys only root and slurm(64030)" in found.text
    assert "systemctl edit cluesd" in found.cure


def test_a_slurmctld_that_does_not_answer_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(LrmsError):
        look(Tools(bin=tmp_path), 12345)
