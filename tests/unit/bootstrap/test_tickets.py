"""Tickets are the same each time, good for one launch key, and worth nothing without the key file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.bootstrap.tickets import Tickets
from clues.errors import ConfigError


def test_a_ticket_names_its_launch_key_and_survives_a_restart(tmp_path: Path) -> None:
    ticket = Tickets.open(tmp_path).issue("key-1")
    assert ticket.startswith("key-1.")
    again = Tickets.open(tmp_path)
    assert again.issue("key-1") == ticket
    assert again.find(ticket, {"key-1", "key-2"}) == "key-1"


def test_the_key_file_is_ours_alone_and_not_shown(tmp_path: Path) -> None:
    tickets = Tickets.open(tmp_path)
    file = tmp_path / "ticket.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert repr(file.read_bytes())[2:-1] not in repr(tickets)


def test_a_ticket_is_refused_for_another_claim_with_another_key_or_when_changed(tmp_path: Path) -> None:
    tickets = Tickets.open(tmp_path / "a")
    ticket = tickets.issue("key-1")
    assert tickets.find(ticket, {"key-2"}) is None
    assert Tickets.open(tmp_path / "b").find(ticket, {"key-1"}) is None
    assert tickets.find(ticket.replace("key-1", "key-2"), {"key-1", "key-2"}) is None
    assert tickets.find(ticket + "A", {"key-1"}) is None
    assert tickets.find("key-1.", {"key-1"}) is None
    assert tickets.find("key-1", {"key-1"}) is None


@given(st.text())
def test_no_text_is_a_ticket_by_chance_or_an_error(text: str) -> None:
    assert Tickets(b"k" * 32).find(text, {text, text.rpartition(".")[0]}) is None


@pytest.mark.parametrize("launch_key", ["", "..", "a b", "a/b", "é", "a\n", "a" * 129])
def test_a_launch_key_of_another_form_gets_no_ticket(launch_key: str) -> None:
    with pytest.raises(ValueError, match="not a launch key"):
        Tickets(b"k" * 32).issue(launch_key)


def test_a_damaged_key_file_is_told(tmp_path: Path) -> None:
    Tickets.open(tmp_path)
    (tmp_path / "ticket.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        Tickets.open(tmp_path)
