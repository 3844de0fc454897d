"""What a name in the configuration means at OpenNebula, where everybody may take any name."""

from __future__ import annotations

import pytest

from clues.errors import InvalidRequest
from connectors.opennebula.catalogue import choose, name_of
from connectors.opennebula.records import Item


def item(number: int, name: str, owner: str, uid: int) -> Item:
    """Return an object."""
    return Item(number, name, uid, owner, ())


ADMIN = item(0, "worker", "oneadmin", 0)
MINE = item(1, "mine", "clues", 2)
HERS = item(2, "worker", "mallory", 3)
ALONE = item(3, "gpu", "mallory", 3)
NUMBER = item(4, "17", "clues", 2)
ITEMS = [HERS, ADMIN, MINE, ALONE, NUMBER]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("worker", ADMIN),
        ("mine", MINE),
        ("mallory/worker", HERS),
        ("oneadmin/worker", ADMIN),
        ("clues/mine", MINE),
        ("3", ALONE),
        ("0", ADMIN),
    ],
)
def test_a_name_means(name: str, expected: Item) -> None:
    assert choose("image", ITEMS, name, "clues") is expected


def test_a_stranger_s_object_is_not_taken_for_its_name_alone() -> None:
    with pytest.raises(InvalidRequest, match="write mallory/gpu"):
        choose("image", ITEMS, "gpu", "clues")


def test_a_number_is_an_id_and_never_a_name() -> None:
    with pytest.raises(InvalidRequest, match="no image 17"):
        choose("image", ITEMS, "17", "clues")
    assert choose("image", ITEMS, "clues/17", "clues") is NUMBER


def test_what_means_two_is_refused_and_both_are_named() -> None:
    twice = [*ITEMS, item(9, "worker", "clues", 2)]
    with pytest.raises(InvalidRequest, match=r"0 \(oneadmin's\), 9 \(clues's\)"):
        choose("image", twice, "worker", "clues")


@pytest.mark.parametrize("name", ["none", "mallory/none", "99", ""])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="there is no image"):
        choose("image", ITEMS, name, "clues")


def test_every_object_can_be_written() -> None:
    for one in (ADMIN, MINE, HERS, ALONE):
        assert choose("image", ITEMS, name_of(one, "clues"), "clues") is one
