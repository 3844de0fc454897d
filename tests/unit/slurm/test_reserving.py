"""A reservation holds exactly the nodes that it shall, is made once, and is never one of somebody else's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues.errors import LrmsError
from lrms.slurm.reserving import reserve
from tests.unit.slurm.test_commands import Stand

BEGIN, END = datetime(2026, 3, 2, 14, 0, 0, 250_000, UTC), datetime(2026, 3, 2, 18, 0, 0, 250_000, UTC)
NAME = "clues-01234567-3"
MADE = (
    f"create reservation reservationname={NAME} starttime=2026-03-02T14:00:00 endtime=2026-03-02T18:00:01"
    " nodes=gpu-[01-02] flags=maint,ignore_jobs users=root"
)


def shown(name: str = NAME, nodes: str = "gpu-[01-02]") -> str:
    return (
        f"ReservationName={name} StartTime=1772460000 EndTime=1772474401 Duration=04:00:01 Nodes={nodes} Flags=MAINT\n"
    )


@pytest.mark.parametrize(
    ("present", "nodes", "done"),
    [
        (
            "No reservations in the system\n",
            ["gpu-02", "gpu-01"],
            [MADE],
        ),
        (shown(), ["gpu-01", "gpu-02"], []),
        (shown(), ["gpu-03"], [f"update reservationname={NAME} nodes=gpu-03"]),
        (shown(), [], [f"delete reservationname={NAME}"]),
        (shown("lecture"), [], []),
    ],
    ids="made there changed deleted none".split(),
)
def test_it_holds_exactly_these_nodes(tmp_path: Path, present: str, nodes: list[str], done: list[str]) -> None:
    stand = Stand(tmp_path, present)
    reserve(stand.commands, NAME, BEGIN, END, nodes)
    assert stand.done == done


@pytest.mark.parametrize(
    ("name", "nodes", "told"),
    [("lecture", ["gpu-01"], "not a reservation of ours"), (NAME, ["login-1"], "not nodes of a pool: login-1|login-1")],
)
def test_what_is_somebody_elses_is_refused(tmp_path: Path, name: str, nodes: list[str], told: str) -> None:
    stand = Stand(tmp_path, "")
    with pytest.raises(LrmsError, match=told):
        reserve(stand.commands, name, BEGIN, END, nodes)
    assert stand.done == []
