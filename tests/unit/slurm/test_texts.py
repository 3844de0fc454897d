"""Texts that go to Slurm: reasons in one harmless line, and a site added to a job's constraint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.errors import LrmsError
from clues.model import Node, Resources
from lrms.slurm.commands import clean_reason
from lrms.slurm.constraint import with_site


@given(st.text(max_size=300))
def test_every_reason_is_one_short_plain_line_of_ours(text: str) -> None:
    reason = clean_reason(text)
    assert reason.startswith("clues:")
    assert len(reason) <= 100
    assert reason.isascii()
    assert reason.isprintable()
    assert not set(reason) & set("'\"\n")
    assert clean_reason(reason) == reason


def test_a_reason_that_is_ours_stays_as_it_is() -> None:
    assert clean_reason("clues:off") == "clues:off"
    assert clean_reason("no capacity") == "clues: no capacity"


@pytest.mark.parametrize(
    ("reason", "free"),
    [
        ("", True),
        ("clues:off", True),
        ("Not responding", True),
        ("Node unexpectedly rebooted", True),
        ("bad disk", False),
        ("not clues:", False),
        ("Low RealMemory", False),
    ],
)
def test_over_which_reasons_a_node_is_opened(reason: str, free: bool) -> None:
    assert Node("c1", frozenset({"IDLE", "DRAIN"}), Resources(1, 1), reason=reason).openable is free


@pytest.mark.parametrize(
    ("constraint", "pinned"),
    [
        ("", "upv"),
        ("cpu", "cpu&upv"),
        ("cpu&fast", "cpu&fast&upv"),
        ("cesnet|upv", "(cesnet|upv)&upv"),
        ("(a|b)&c", "(a|b)&c&upv"),
        ("[a|b]", "[a|b]&upv"),
    ],
)
def test_a_site_is_added_to_a_constraint(constraint: str, pinned: str) -> None:
    assert with_site(constraint, "upv") == pinned


@pytest.mark.parametrize("constraint", ["a*2", "[a*2&b*1]", "a|(b&c)"])
def test_a_constraint_to_which_a_site_cannot_be_added_is_refused(constraint: str) -> None:
    with pytest.raises(LrmsError, match="a site cannot be added"):
        with_site(constraint, "upv")
