"""Reading OpenVPN's management interface: what 2.6 writes, and whatever else."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.errors import CluesError
from vrouter.broker.protocol import LONGEST, MOST_VARIABLES, Garbled, News, Parser, parse_real, parse_status

CONNECT = (
    b">CLIENT:CONNECT,3,1\r\n>CLIENT:ENV,n_clients=0\r\n>CLIENT:ENV,common_name=key-2\r\n"
    b">CLIENT:ENV,IV_VER=2.6.14\r\n>CLIENT:ENV,untrusted_port=51660\r\n>CLIENT:ENV,END\r\n"
)
STATUS = (
    "TITLE\tOpenVPN 2.6.14 x86_64-pc-linux-gnu\n"
    "TIME\t2026-11-22 22:05:09\t1795385109\n"
    "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent"
    "\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher\n"
    "CLIENT_LIST\tkey-2\t198.51.100.2:53751\t10.77.252.11\t\t2707\t2301\t2026-11-22 22:05:06\t1795385106\tUNDEF\t0\t0"
    "\tAES-128-GCM\n"
    "CLIENT_LIST\tUNDEF\t198.51.100.3:1\t\t\t0\t0\t2026-11-22 22:05:06\t1795385106\tUNDEF\t1\t1\t\n"
    "HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)\n"
    "GLOBAL_STATS\tMax bcast/mcast queue length\t0"
)
#: pieces that come near to what is meant, so that luck finds the deeper branches
PIECES = [
    *(b">CLIENT:", b"CONNECT,", b"REAUTH,", b"ENV,", b"END", b"ESTABLISHED,", b"ADDRESS,", b"0", b"1", b",", b"9" * 40),
    *(b"common_name=", b"\n", b"\r\n", b">INFO:", b">HOLD:", b">", b"\x00", b"\xff\xfe", b"SUCCESS: ", b"ERROR: "),
    *(b"99999999999", b"10.77.0.1/24,1", b"=", b":", b"x"),
]


def test_a_connection_is_one_piece_of_news_with_its_variables() -> None:
    (news,) = Parser().feed(CONNECT)
    assert isinstance(news, News)
    assert (news.what, news.client, news.key) == ("CONNECT", 3, 1)
    assert news.variables["common_name"] == "key-2"


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    parser = Parser()
    items = [item for at in range(len(CONNECT)) for item in parser.feed(CONNECT[at : at + 1])]
    assert items == Parser().feed(CONNECT)


def test_news_in_the_midst_of_an_answer_are_told_apart() -> None:
    items = Parser().feed(b"one\n>HOLD:Waiting for hold release:0\ntwo\nEND\n>CLIENT:ESTABLISHED,7\n>CLIENT:ENV,END\n")
    assert items[0] == "one"
    assert items[1] == News("HOLD", "Waiting for hold release:0")
    assert items[2:4] == ["two", "END"]
    assert items[4] == News("ESTABLISHED", client=7)


@pytest.mark.parametrize(
    "text",
    [
        b">CLIENT:CONNECT,x,1\n",
        b">CLIENT:CONNECT,1\n",
        b">CLIENT:ENV,common_name=x\n",
        b">CLIENT:CONNECT,1,1\n>CLIENT:CONNECT,2,1\n",
        b">CLIENT:CONNECT,1,1\n>CLIENT:ENV,common_name=a\n>CLIENT:ENV,common_name=b\n",
        b">CLIENT:ADDRESS,1,$(reboot),1\n",
        b">client:connect\n",
        b"x" * (LONGEST + 1),
        b">CLIENT:CONNECT,1,1\n" + b"".join(b">CLIENT:ENV,v%d=1\n" % one for one in range(MOST_VARIABLES + 1)),
    ],
)
def test_what_fits_no_form_is_an_error(text: bytes) -> None:
    with pytest.raises(Garbled):
        Parser().feed(text)


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    parser = Parser()
    for _ in range(LONGEST // 1000):
        parser.feed(b"x" * 1000)
    with pytest.raises(Garbled):
        parser.feed(b"x" * 1000)


def test_a_hundred_thousand_malformed_lines_give_typed_errors_only() -> None:
    luck = random.Random(3)
    parser, errors = Parser(), 0
    for _ in range(100_000):
        line = b"".join(luck.choice(PIECES) for _ in range(luck.randrange(8))) + b"\n"
        try:
            parser.feed(line)
        except CluesError:
            errors += 1
            parser = Parser()
    assert errors > 5_000


@given(st.binary(max_size=2000))
def test_any_bytes_give_typed_errors_only(data: bytes) -> None:
    try:
        Parser().feed(data)
    except CluesError:
        return


def test_the_clients_are_read_by_the_names_of_the_columns() -> None:
    first, second = parse_status(STATUS.splitlines())
    assert (first.client, first.name, first.real, first.address) == (0, "key-2", "198.51.100.2:53751", "10.77.252.11")
    assert (first.received, first.sent) == (2707, 2301)
    assert first.since == datetime(2026, 11, 22, 22, 5, 6, tzinfo=UTC)
    assert second.name == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "END",
        STATUS.replace("Client ID", "Client"),
        STATUS.replace("\t2707", "\tmany"),
        STATUS.replace("\t2707", ""),
        STATUS.replace("1795385106", "9" * 30),
    ],
)
def test_a_list_of_clients_of_another_form_is_an_error_not_an_empty_list(text: str) -> None:
    with pytest.raises(Garbled):
        parse_status(text.splitlines())


@given(st.lists(st.text(max_size=200), max_size=20))
def test_any_list_gives_typed_errors_only(lines: list[str]) -> None:
    try:
        parse_status(["HEADER\tCLIENT_LIST\tClient ID", *lines])
    except CluesError:
        return


def test_where_a_client_sends_from() -> None:
    assert parse_real("198.51.100.2:53751") == ("198.51.100.2", 53751)
    assert parse_real("udp4:198.51.100.2:53751") == ("198.51.100.2", 53751)
    assert parse_real("[2001:db8::1]:5") is None
