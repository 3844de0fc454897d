"""A copy made quicker is the copy that ``replace`` makes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from clues.model import Claim
from clues.model.evolve import evolve
from tests.unit.builders import NOW, make_claim


@dataclass(frozen=True, slots=True)
class _Checked:
    one: int = 1
    other: int = 2

    def __post_init__(self) -> None:
        if self.one > self.other:
            raise ValueError("too much")


@dataclass(frozen=True)
class _WithoutSlots:
    one: int = 1
    other: int = 2


def test_each_field_of_a_claim_is_changed_and_the_others_stay() -> None:
    claim = make_claim()
    for field in fields(Claim):
        changed = evolve(claim, **{field.name: NOW})
        other: dict[str, Any] = {field.name: NOW}
        assert changed == replace(claim, **other)
        assert type(changed) is Claim
    assert claim == make_claim()


def test_a_field_that_there_is_not_is_an_error() -> None:
    with pytest.raises(TypeError, match="colour"):
        evolve(make_claim(), colour="red")


@pytest.mark.parametrize("value", [_Checked(), _WithoutSlots()])
def test_a_value_whose_making_does_more_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="slots"):
        evolve(value, one=3)
