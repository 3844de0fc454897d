"""What goes over the wire comes back the same, is harmless to a terminal, and nothing else is taken for
it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.api import codec, wire, wire_vrouter
from clues.api.codec import WireError, decode, encode, printable

KINDS = [
    kind
    for module in (wire, wire_vrouter)
    for kind in vars(module).values()
    if is_dataclass(kind) and kind is not wire.StateWord
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).filter(str.isprintable)

nodes = st.builds(
    wire.NodeView,
    name=TEXTS,
    state=st.sampled_from(sorted(wire.NODE_STATES)),
    jobs=st.lists(TEXTS, max_size=3).map(tuple),
    age_seconds=st.none() | st.floats(0, 1e9),
    cost_per_hour=st.none() | st.floats(0, 1e6),
    generation=st.integers(0, 10**9),
)
statuses = st.builds(
    wire.ClusterStatus,
    cluster=TEXTS,
    state=st.sampled_from(sorted(wire.CLUSTER_STATES)),
    nodes=st.lists(nodes, max_size=3).map(tuple),
    troubles=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(statuses)
def test_what_was_encoded_is_decoded(status: wire.ClusterStatus) -> None:
    assert decode(wire.ClusterStatus, json.loads(encode(status))) == status


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_type_of_the_wire_is_one_that_the_decoder_knows(kind: type[Any]) -> None:
    assert set(codec._shape(kind)) == {one.name for one in fields(kind)}


@given(st.text(max_size=40))
def test_no_text_can_command_a_terminal(text: str) -> None:
    event = json.loads(encode(wire.EventView(1, subject=text, text=text, about=(text,))))
    for shown in (event["subject"], event["text"]):
        assert all(line.isprintable() for line in shown.split("\n"))
    assert event["about"][0].isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202egpj", "abc\\u202egpj"),
        ("\ud800", "\\ud800"),
        ("žluťoučký 節點", "žluťoučký 節點"),
    ],
)
def test_escapes_are_readable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_newer_daemons_fields_are_ignored() -> None:
    data = {"name": "a", "state": "idle", "colour": "blue"}
    assert decode(wire.NodeView, data) == wire.NodeView("a", "idle")


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        {"state": "idle"},
        {"name": 3, "state": "idle"},
        {"name": "a", "state": "idle", "jobs": "b"},
        {"name": "a", "state": "idle", "jobs": [1]},
        {"name": "a", "state": "idle", "age_seconds": "1"},
        {"name": None, "state": "idle"},
    ],
)
def test_something_else_is_not_taken_for_an_answer(data: object) -> None:
    with pytest.raises(WireError):
        decode(wire.NodeView, data)


def test_something_else_inside_a_list_is_not_either() -> None:
    with pytest.raises(WireError):
        decode(wire.NodeList, {"nodes": ["a"]})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["nodes", "name", "state", "jobs"]), inner),
    )
)
def test_any_json_is_an_answer_or_a_wire_error(data: object) -> None:
    with suppress(WireError):
        decode(wire.NodeList, data)
