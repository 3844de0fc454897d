"""Tags come back as they were sent; what a stranger made of them is read as missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.model import Instance, InstanceState, Kind, LaunchRequest, Offer, Resources
from connectors.common import tags
from connectors.common.failures import LONGEST_WORDS
from connectors.common.tags import tagged, tags_of

REQUEST = LaunchRequest(
    cluster="6f1d7c1e-0000-4000-8000-00000000000a",
    launch_key="gpu-01.7.k3",
    kind=Kind.ROUTER,
    node="gpu-01",
    pool="gpu",
    generation=7,
    offer=Offer("aws", "g5.2xlarge", "an-image"),
    shape=Resources(8, 61440),
    user_data="#!/bin/sh\n: a-ticket\n",
)


def read(pairs: dict[str, Any], **more: Any) -> Instance:
    return tagged(pairs, instance_id="i-1", site="aws", state=InstanceState.RUNNING, **more)


def test_what_was_sent_comes_back() -> None:
    one = read(tags_of(REQUEST))
    assert (one.cluster, one.launch_key, one.node) == (REQUEST.cluster, REQUEST.launch_key, REQUEST.node)
    assert (one.kind, one.pool, one.generation, one.offer) == ("router", "gpu", 7, "aws/g5.2xlarge/on-demand")


def test_tags_hold_no_secret_and_no_names_of_users() -> None:
    assert "ticket" not in repr(tags_of(REQUEST))
    assert set(tags_of(REQUEST)) == {f"clues-{name}" for name in (
        "cluster", "launch-key", "node", "kind", "pool", "generation", "offer"
    )}  # fmt: skip


@pytest.mark.parametrize("name", [tags.CLUSTER, tags.LAUNCH_KEY, tags.NODE, tags.KIND, tags.POOL, tags.OFFER])
@pytest.mark.parametrize("value", [None, 7, ["x"], {"a": "b"}, "a\nb", "\x1b[2J", "\x00", "\u202e", "x" * 256, b"x"])
def test_a_value_that_is_no_short_printable_text_is_as_good_as_missing(name: str, value: object) -> None:
    one = read({**tags_of(REQUEST), name: value})
    field = {"clues-launch-key": "launch_key"}.get(name, name.removeprefix("clues-"))
    assert asdict(one)[field] == ""


@pytest.mark.parametrize("value", ["", "-1", "7 ", "0x7", "\u0667", "1e3", "9999999999", "seven", None, 7, "7\n"])
def test_a_generation_that_is_no_number_is_none(value: object) -> None:
    assert read({**tags_of(REQUEST), tags.GENERATION: value}).generation == 0


@given(st.dictionaries(st.sampled_from(sorted(tags_of(REQUEST))), st.text(max_size=300) | st.none() | st.integers()))
def test_no_tags_are_an_error_and_all_that_is_read_can_be_shown(pairs: dict[str, Any]) -> None:
    for value in asdict(read(pairs)).values():
        assert not isinstance(value, str) or (value.isprintable() and len(value) <= 255)


def test_addresses_are_addresses_and_a_fault_is_one_line() -> None:
    one = read(
        {},
        addresses=("10.0.0.1", "10.0.0.1\x1b[2J", "", "head.example.org", "fd00::1", "fe80::1%$(reboot)", "1.2.3.4/24"),
        macs=("FA:16:3E:00:00:01", "fa:16:3e:00:00:0g", "fa:16:3e:00:00:01\n", ""),
        fault="no\n\x1b[2Jhost" + "x" * 5000,
    )
    assert one.addresses == ("10.0.0.1", "fd00::1")
    assert one.macs == ("fa:16:3e:00:00:01",)
    assert one.fault.startswith("no [2Jhost")
    assert one.fault.isprintable()
    assert len(one.fault) <= LONGEST_WORDS
