"""The accounts of jobs: read alone, believed only where they are plain words, asked for rarely."""

from __future__ import annotations

import pytest

from clues.model import ClusterSnapshot, Job, JobLimit
from lrms.slurm.charges import HOLDS, Charges, Told, plain_account, read_charges
from lrms.slurm.jobs import SEPARATOR
from tests.unit.builders import NOW, make_job

MARK = "5" * 32


def line(name: str, account: str, qos: str = "normal") -> str:
    return f"{name}{SEPARATOR}{account}{SEPARATOR}{qos}{SEPARATOR}{MARK}\n"


def test_an_array_has_one_account_for_all_that_is_pending() -> None:
    text = line("7_[3-8%2]", "physics") + line("7_1", "physics") + line("9", "(null)")
    assert read_charges(text, MARK) == {
        "7": ("physics", "normal"),
        "7_1": ("physics", "normal"),
        "9": ("", "normal"),
    }


@pytest.mark.parametrize("account", ["\n777", f"x\n777{SEPARATOR}chemistry", f"x{SEPARATOR}y", "a b", "é", "x" * 200])
def test_whoever_writes_nonsense_is_charged_to_nobody_and_harms_no_other(account: str) -> None:
    found = read_charges(line("8", account) + line("9", "physics"), MARK)
    assert found.pop("9") == ("physics", "normal")
    assert {name for name, _ in found.values()} <= {""}
    assert "777" not in found


def test_slurm_keeps_accounts_in_small_letters() -> None:
    assert plain_account("Physics.2") == "physics.2"


def test_slurm_is_asked_for_new_jobs_and_once_a_minute() -> None:
    asked, now = [], 0.0
    limit = JobLimit("MaxJobsPU of QOS normal", "jobs", 2, qos="normal")

    def ask() -> Told:
        asked.append(now)
        return Told({"1": ("physics", "normal"), "2": ("chemistry", "")}, (limit,))

    def told(*jobs: Job) -> list[tuple[str, str]]:
        snapshot = charges.put_on(ClusterSnapshot(NOW, {}, jobs), ask)
        assert snapshot.limits == ((limit,) if asked else ())
        return [(job.account, job.qos) for job in snapshot.jobs]

    charges = Charges(lambda: now)
    one, two, three = (make_job(str(number)) for number in (1, 2, 3))
    assert told() == []
    assert told(one) == told(one) == [("physics", "normal")]
    assert len(asked) == 1
    # one that has gone while Slurm was asked is not asked for at each look
    assert told(one, two, three) == told(one, two, three) == [("physics", "normal"), ("chemistry", ""), ("", "")]
    assert len(asked) == 2
    now = HOLDS + 1
    told(one)
    told()
    assert len(asked) == 3
