"""Limits as a real 22.05.8 with slurmdbd printed them."""

from __future__ import annotations

from pathlib import Path

from clues.model import JobLimit
from lrms.slurm.limits import read_limits

TEXT = (Path(__file__).parents[2] / "golden" / "slurm" / "22.05.8" / "assoc_mgr.txt").read_text()


def test_real_limits_of_qos_accounts_and_users() -> None:
    physics = frozenset({"physics"})
    assert set(read_limits(TEXT)) == {
        JobLimit("MaxJobsPU of QOS normal", "jobs", 2, qos="normal", user="alice"),
        JobLimit("MaxTRESPU=cpu of QOS normal", "cpus", 6, qos="normal", user="alice"),
        JobLimit("MaxTRESPU=node of QOS normal", "nodes", 3, qos="normal", user="alice"),
        JobLimit("MaxJobsPA of QOS normal", "jobs", 3, qos="normal", accounts=physics),
        JobLimit("MaxTRESPA=node of QOS normal", "nodes", 4, qos="normal", accounts=physics),
        JobLimit("GrpTRES=cpu of QOS small", "cpus", 4, qos="small"),
        JobLimit("GrpJobs of account physics", "jobs", 7, accounts=physics),
        JobLimit("GrpTRES=cpu of account physics", "cpus", 20, accounts=physics),
        JobLimit("GrpTRES=node of alice in physics", "nodes", 2, accounts=physics, user="alice"),
        JobLimit("MaxJobs of alice in physics", "jobs", 4, accounts=physics, user="alice"),
    }


def test_an_accounts_limit_holds_for_the_accounts_below_it() -> None:
    limits = read_limits(
        TEXT.replace("Account=root UserName= ", "Account=root UserName= ", 1).replace(
            "ParentAccount= Lft=1 DefAssoc=No GrpJobs=N(0)", "ParentAccount= Lft=1 DefAssoc=No GrpJobs=9(0)"
        )
    )
    (root,) = [one for one in limits if one.name == "GrpJobs of account root"]
    assert root.accounts == {"root", "physics", "chemistry"}


def test_gpus_and_memory_are_limits_too_and_nonsense_is_none() -> None:
    line = "QOS=a(3) GrpJobs=x GrpTRES=cpu=N(0),gres/gpu=4(1),mem=1024(0),fs/disk=7(0) Account Limits= User Limits="
    assert [(one.what, one.most) for one in read_limits(line)] == [("gpus", 4), ("memory_mib", 1024)]
    assert read_limits("QOS=\nClusterName=\nx") == []
