"""One word for each node, whatever Slurm, the claim and the sysadmin say at the same time."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.api.states import RULES, Reading, state_of
from clues.api.wire import NODE_STATES
from clues.model import KNOWN_FLAGS, ClaimState, Wish
from tests.unit.builders import BUSY, CLOSED, DOWN, DRAINING, IDLE, NOW, OFF, OPEN_OFF, make_claim, make_node

S = ClaimState
ADMIN = "broken fan [root]"


SILENT = frozenset({"IDLE", "CLOUD", "NOT_RESPONDING"})


def reading(
    state: ClaimState | None,
    flags: frozenset[str] | None,
    reason: str | None = None,
    opened_at: datetime | None = None,
    **more: object,
) -> Reading:
    node = None
    if flags is not None:
        node = make_node("cpu-1", flags) if reason is None else make_node("cpu-1", flags, reason=reason)
    return Reading(make_claim("cpu-1", state, opened_at=opened_at) if state else None, node, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (reading(None, OFF), "off"),
        (reading(None, OPEN_OFF), "off"),
        (reading(None, OFF, wish=Wish.DISABLED), "disabled"),
        (reading(None, OFF, ADMIN), "held"),
        (reading(None, None), "down"),
        (reading(None, None, slurm_known=False), "unknown"),
        (reading(S.BOOTING, None, slurm_known=False), "booting"),
        (reading(S.PLANNED, OFF), "wanted"),
        (reading(S.LAUNCHING, OFF), "launching"),
        (reading(S.BOOTING, OFF), "booting"),
        (reading(S.JOINING, CLOSED), "joining"),
        (reading(S.READY, CLOSED), "joining"),
        (reading(S.READY, IDLE), "idle"),
        (reading(S.READY, BUSY), "busy"),
        (reading(S.READY, DRAINING), "draining"),
        (reading(S.READY, DRAINING, ADMIN), "draining"),
        (reading(S.READY, CLOSED, ADMIN), "held"),
        (reading(S.READY, DOWN), "down"),
        (reading(S.READY, SILENT, opened_at=NOW), "down"),
        (reading(S.READY, SILENT), "joining"),
        (reading(S.READY, None), "down"),
        (reading(S.DRAINING, CLOSED), "draining"),
        (reading(S.STOPPING, frozenset({"DOWN", "CLOUD", "POWERING_DOWN"})), "stopping"),
        (reading(S.FAILED, CLOSED), "failed"),
        # Slurm's own doing, before we could close the node, or in an eager pool
        (reading(None, frozenset({"ALLOCATED", "CLOUD", "POWERING_UP"})), "wanted"),
        (reading(None, frozenset({"IDLE", "CLOUD", "POWERING_UP"})), "wanted"),
        (reading(None, frozenset({"DOWN", "CLOUD", "POWERING_DOWN"})), "stopping"),
        (reading(None, BUSY), "busy"),
        (reading(None, IDLE), "idle"),
    ],
)
def test_the_word_for(given: Reading, word: str) -> None:
    assert state_of(given) == word


@given(
    st.none() | st.sampled_from([state for state in ClaimState if state is not S.GONE]),
    st.none() | st.frozensets(st.sampled_from(sorted(KNOWN_FLAGS)), max_size=5),
    st.sampled_from(["", ADMIN, "clues:off"]),
    st.none() | st.sampled_from(Wish),
    st.booleans(),
)
def test_every_node_has_a_word_that_is_documented(
    state: ClaimState | None, flags: frozenset[str] | None, reason: str, wish: Wish | None, known: bool
) -> None:
    assert state_of(reading(state, flags, reason, wish=wish, slurm_known=known)) in NODE_STATES


def test_every_documented_word_has_a_rule() -> None:
    # nodes of no pool have their word without one
    assert {word for word, _ in RULES} == set(NODE_STATES) - {"on-premises"}
