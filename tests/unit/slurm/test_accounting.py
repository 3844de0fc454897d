"""What `sacct` tells of jobs that ran, and what it says where there is no accounting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.errors import InvalidRequest, LrmsError
from lrms.slurm.accounting import parse, read_uses
from lrms.slurm.tools import Tools

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)

LINES = """\
41|alice|physics|normal|1772400000|1772403600|billing=4,cpu=4,gres/gpu:a10=2,gres/gpu=2,mem=8G,node=2|gpu-[01-02]
42_3|bob|art|long|1772400000|Unknown|billing=1,cpu=1,mem=500M,node=1|cpu-1
43|bob|art|long|Unknown|Unknown||None assigned
44|carol|art|long|None|1772400000||None assigned
"""


def test_each_run_is_told_with_what_it_held() -> None:
    first, second = parse(LINES)
    assert (first.job, first.user, first.account, first.qos) == ("41", "alice", "physics", "normal")
    assert (first.nodes, first.cpus, first.gpus) == (("gpu-01", "gpu-02"), 4, 2)
    assert (first.begin, first.end) == tuple(datetime.fromtimestamp(at, UTC) for at in (1772400000, 1772403600))
    assert (second.job, second.nodes, second.cpus, second.gpus, second.end) == ("42_3", ("cpu-1",), 1, 0, None)


@pytest.mark.parametrize("line", ["41|alice|physics", "41|a|b|normal|1772400000|1772403600|cpu=4|cpu-[1"])
def test_what_is_not_understood_is_an_error_and_no_empty_bill(line: str) -> None:
    with pytest.raises(LrmsError):
        list(parse(line))


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Programs that print what is in a file, and write down how they were called."""
    for name in ("scontrol", "sacct"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\ncat {tmp_path}/{name}.out\n')
        program.chmod(0o755)
    (tmp_path / "scontrol.out").write_text("AccountingStorageType   = accounting_storage/slurmdbd\n")
    (tmp_path / "sacct.out").write_text(LINES)
    return Tools(bin=tmp_path)


def test_a_long_time_is_asked_for_in_parts_and_each_run_is_told_once(tools: Tools, tmp_path: Path) -> None:
    uses = read_uses(tools, BEGIN, BEGIN + timedelta(days=70))
    assert [one.job for one in uses] == ["41", "42_3"]
    asked = [line for line in (tmp_path / "called").read_text().splitlines() if "--starttime" in line]
    assert len(asked) == 3
    assert "--starttime=2026-03-01T00:00:00 --endtime=2026-04-01T00:00:00" in asked[0]
    assert "--endtime=2026-05-10T00:00:00" in asked[2]


@pytest.mark.parametrize("kind", ["accounting_storage/none", "(null)"])
def test_where_there_is_no_accounting_it_is_said_how_to_get_it(tools: Tools, tmp_path: Path, kind: str) -> None:
    (tmp_path / "scontrol.out").write_text(f"AccountingStorageType   = {kind}\n")
    with pytest.raises(InvalidRequest, match="AccountingStorageType=accounting_storage/slurmdbd"):
        read_uses(tools, BEGIN, BEGIN + timedelta(days=1))
    assert "sacct" not in (tmp_path / "called").read_text().replace("show config", "")
