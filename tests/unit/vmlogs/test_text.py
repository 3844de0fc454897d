"""What a VM has written is a stranger's text, and may hold secrets."""

from __future__ import annotations

import base64
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from clues.bootstrap.tickets import Tickets
from clues.vmlogs.text import LONGEST, shown

TICKET = Tickets(b"k" * 32).issue("0b5c4f0e-gpu-01-8-69a5b2c0")


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Ticket {TICKET}",
        f"ticket={TICKET}",
        f"ticket='{TICKET}'",
        f"+ ticket={TICKET}",
        f"the mac alone {TICKET.rpartition('.')[2]}",
    ],
)
def test_a_ticket_is_not_shown(line: str) -> None:
    assert TICKET.rpartition(".")[2] not in shown(f"before\n{line}\nafter\n")
    assert "before" in shown(f"before\n{line}\nafter\n")


def test_a_private_key_is_not_shown_not_even_its_last_short_line() -> None:
    pem = (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )
    text = shown(f"before\n{pem}after\n")
    assert not [line for line in pem.splitlines() if line in text]
    assert text == "before\n[...]\nafter\n"
    cut = pem.rpartition("-----END")[0]
    assert shown(f"before\n{cut}") == "before\n[...]"


def test_a_munge_key_in_base64_is_not_shown() -> None:
    key = base64.b64encode(os.urandom(128)).decode()
    assert not [part for part in (key, key[:60], key[60:120]) if part in shown(f"file 0400 /etc/munge/munge.key {key}")]


def test_what_moves_a_terminal_is_taken_out_and_lines_stay_lines() -> None:
    raw = "\x1b[2J\x1b[1;31mfailed\x1b[0m\r\n\x1b]0;title\x07next\rover\tx\x00\x9b\u202e\n"
    assert shown(raw) == "failed\nnext\nover x???\n"


def test_the_end_is_shown_and_no_more_than_that() -> None:
    text = "".join(f"line {number}\n" for number in range(50_000))
    assert len(shown(text)) <= LONGEST
    assert shown(text).endswith("line 49999\n")


def test_half_a_secret_at_the_cut_is_not_shown() -> None:
    mac = TICKET.rpartition(".")[2]
    assert mac[20:] not in shown(mac[20:] + "\n" + "x\n" * 3000)  # a provider had cut it
    for kept in range(10, 60):  # we do
        assert mac[-8:] not in shown(f"ticket={TICKET}\n" + "y\n" * ((LONGEST - kept) // 2))


def test_a_ticket_that_a_line_has_cut_is_not_shown() -> None:
    mac = TICKET.rpartition(".")[2]
    assert mac[:20] not in shown(f"Authorization: Ticket {TICKET[:-20]}\n")


def test_a_short_text_keeps_its_first_word() -> None:
    assert shown("cloud-init-started\n") == "cloud-init-started\n"


@given(st.text(max_size=400))
def test_whatever_it_is_it_can_be_printed(text: str) -> None:
    assert all(letter == "\n" or letter.isprintable() for letter in shown(text))
