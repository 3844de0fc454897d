"""The arithmetic of CPUs, memory and GPUs: what fits, what is left, how many fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clues.model import NOTHING, Gpu, Resources, make_gpus

GPUS = st.dictionaries(st.sampled_from(["a10", "v100"]), st.integers(1, 4), max_size=2)
WANTED_GPUS = st.dictionaries(st.sampled_from(["", "a10", "v100"]), st.integers(1, 3), max_size=2)


def vector(gpus: st.SearchStrategy[dict[str, int]], most: int) -> st.SearchStrategy[Resources]:
    return st.builds(
        lambda cpus, memory, counts: Resources(cpus, memory, make_gpus(Gpu(*one) for one in counts.items())),
        st.integers(0, most),
        st.integers(0, most),
        gpus,
    )


ROOM, NEED = vector(GPUS, 64), vector(WANTED_GPUS, 16)


@given(ROOM, NEED)
def test_what_was_taken_and_what_is_left_make_the_whole(room: Resources, need: Resources) -> None:
    if not need.fits_in(room):
        return
    left = room.minus(need)
    assert left.cpus + need.cpus == room.cpus
    assert left.memory_mib + need.memory_mib == room.memory_mib
    assert left.gpu_count + need.gpu_count == room.gpu_count


@given(ROOM, NEED)
def test_minus_never_goes_below_nothing(room: Resources, need: Resources) -> None:
    left = room.minus(need)
    assert min(left.cpus, left.memory_mib, left.gpu_count) >= 0
    assert left.fits_in(room)


@given(ROOM, NEED)
def test_how_many_fit_is_exact(room: Resources, need: Resources) -> None:
    if need == NOTHING:
        assert need.how_many_in(room) == 1
        return
    many = need.how_many_in(room)
    assert many == 0 or need.times(many).fits_in(room)
    assert not need.times(many + 1).fits_in(room)


@given(ROOM, NEED)
def test_taking_one_by_one_ends_where_the_count_says(room: Resources, need: Resources) -> None:
    if need == NOTHING:
        return
    taken, left = 0, room
    while need.fits_in(left):
        left, taken = left.minus(need), taken + 1
    # an untyped request may take a GPU that a typed one needed later: never more than the count, and mostly the same
    assert taken <= need.how_many_in(room)
    if all(gpu.type for gpu in need.gpus) or len(need.gpus) < 2:
        assert taken == need.how_many_in(room)


@given(ROOM, ROOM)
def test_plus_and_minus_are_each_others_reverse(one: Resources, other: Resources) -> None:
    assert one.plus(other).minus(other) == one


def test_a_typed_request_takes_its_own_type_only() -> None:
    room = Resources(8, 8, (Gpu("a10", 1), Gpu("v100", 2)))
    assert not Resources(1, 1, (Gpu("a10", 2),)).fits_in(room)
    assert Resources(1, 1, (Gpu("", 3),)).fits_in(room)
    assert room.minus(Resources(gpus=(Gpu("", 1),))).gpus == (Gpu("a10", 1), Gpu("v100", 1))


def test_typed_requests_are_served_before_untyped_ones() -> None:
    room = Resources(8, 8, (Gpu("a10", 1), Gpu("v100", 1)))
    assert Resources(1, 1, (Gpu("", 1), Gpu("a10", 1))).fits_in(room)


def test_gpus_have_one_canonical_form() -> None:
    assert make_gpus([Gpu("b", 1), Gpu("a", 2), Gpu("b", 1), Gpu("c", 0)]) == (Gpu("a", 2), Gpu("b", 2))
