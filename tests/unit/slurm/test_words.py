"""Slurm's small languages are read as Slurm means them, and what is not of the expected form is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.model import Gpu
from lrms.slurm import words


@pytest.mark.parametrize(
    ("text", "mib"),
    [("500M", 500), ("5G", 5120), ("2000", 2000), ("1.50T", 1572864), ("0", 0), ("N/A", 0), ("1K", 1), ("2Gc", 2048)],
)
def test_memory_is_read_in_mib_rounded_up(text: str, mib: int) -> None:
    assert words.memory_mib(text) == mib


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1-02:04:00", timedelta(days=1, hours=2, minutes=4)),
        ("10:00", timedelta(minutes=10)),
        ("1:00:00", timedelta(hours=1)),
        ("1440:00", timedelta(days=1)),
        ("UNLIMITED", None),
        ("NOT_SET", None),
    ],
)
def test_time_limits(text: str, limit: timedelta | None) -> None:
    assert words.time_limit(text) == limit


def test_moments_are_aware_and_never_is_none() -> None:
    assert words.moment("1795373130") == datetime(2026, 11, 22, 18, 45, 30, tzinfo=UTC)
    assert words.moment("2026-11-22T18:45:30") == datetime(2026, 11, 22, 18, 45, 30, tzinfo=UTC)
    for nothing in ("N/A", "Unknown", "None", "0", str(2**32 - 1)):
        assert words.moment(nothing) is None


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("gpu:a10:2(S:0-1)", (("gpu", "a10", 2),)),
        ("gpu:2", (("gpu", "", 2),)),
        ("gpu", (("gpu", "", 1),)),
        ("gpu:a10", (("gpu", "a10", 1),)),
        ("gres:gpu:a10:1", (("gpu", "a10", 1),)),
        ("gres/gpu:tesla=4", (("gpu", "tesla", 4),)),
        ("gres/gpu=4", (("gpu", "", 4),)),
        ("gpu:a10:1(IDX:0),gpu:t4:2(IDX:1-2)", (("gpu", "a10", 1), ("gpu", "t4", 2))),
        ("gpu:a10:0(IDX:N/A)", (("gpu", "a10", 0),)),
        ("gpu:a10:2(S:0,2),shard:8", (("gpu", "a10", 2), ("shard", "", 8))),
        ("bandwidth:lustre:4G", (("bandwidth", "lustre", 4 * 1024**3),)),
        ("(null)", ()),
        ("", ()),
    ],
)
def test_generic_resources_in_all_their_forms(text: str, items: tuple[tuple[str, str, int], ...]) -> None:
    assert words.gres(text) == items


def test_gpus_of_a_node_leave_out_other_resources() -> None:
    assert words.gpus("gpu:t4:1,gpu:a10:2(S:0-1),shard:8") == (Gpu("a10", 2), Gpu("t4", 1))


def test_a_request_for_something_that_is_no_gpu_fits_no_gpu_node() -> None:
    wanted = words.requested("gres:shard:2")
    have = words.requested("gpu:a10:2").plus(words.requested("gpu:4"))
    assert not wanted.fits_in(have)


@pytest.mark.parametrize("text", ["gpu:a10:x:1", ":", "gpu:a:b:1", "gpu=x"])
def test_what_is_no_generic_resource_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a generic resource"):
        words.gres(text)


@pytest.mark.parametrize(
    ("text", "total", "throttle"),
    [
        ("0-99%5", 100, 5),
        ("1,3,7-9", 5, None),
        ("0-98:2", 50, None),
        ("[0-3]", 4, None),
        ("5", 1, None),
        ("0-9,20,30-...", 11, None),
        ("1,2,...", 2, None),
    ],
)
def test_array_tasks_are_counted(text: str, total: int, throttle: int | None) -> None:
    assert words.array_tasks(text) == (total, throttle)


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-2:0", "1%x", "..."])
def test_what_is_no_list_of_tasks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a list of array tasks"):
        words.array_tasks(text)


@given(st.text(max_size=30))
def test_no_text_breaks_a_reader_otherwise_than_by_refusing(text: str) -> None:
    for reader in (words.memory_mib, words.time_limit, words.gres, words.array_tasks, words.moment, words.hosts):
        try:
            reader(text)
        except ValueError:
            continue
