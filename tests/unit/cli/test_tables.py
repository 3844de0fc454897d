"""Tables fit where they have to, and lose the least important first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.cli import words
from clues.cli.tables import Column, Style, shorten, table, width, wrap

Row = dict[str, str]

COLUMNS: tuple[Column[Row], ...] = (
    Column("NAME", lambda row: row["name"], essential=True),
    Column("OFFER", lambda row: row["offer"], least=4),
    Column("N", lambda row: row["n"], right=True),
    Column("WHY", lambda row: row["why"], least=6, essential=True),
    Column("MORE", lambda row: row["n"], wide=True),
)
ROW = {"name": "cpu-001", "offer": "g5.2xlarge", "n": "7", "why": "no capacity in eu-west-1"}

rows = st.fixed_dictionaries({key: st.text(max_size=30) for key in ("name", "offer", "n", "why")})


@given(st.lists(rows, max_size=4), st.integers(1, 120), st.booleans())
def test_no_line_is_wider_than_the_terminal(given: list[Row], limit: int, wide: bool) -> None:
    for line in table(given, COLUMNS, Style(width=limit, wide=wide)):
        assert width(line) <= limit
        assert line.isprintable()


@given(st.lists(rows, max_size=4))
def test_without_a_width_nothing_is_lost(given: list[Row]) -> None:
    lines = table(given, COLUMNS, Style())
    assert len(lines) == len(given) + 1
    assert all(words in lines[0] for words in ("NAME", "OFFER", "N", "WHY"))
    assert not any(".." in line for line in lines if ".." not in str(given))


@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        (None, ["NAME      OFFER        N   WHY", "cpu-001   g5.2xlarge   7   no capacity in eu-west-1"]),
        (40, ["NAME      OFFER        N   WHY", "cpu-001   g5.2xlarge   7   no capacity.."]),
        (27, ["NAME      OF..   N   WHY", "cpu-001   g5..   7   no c.."]),
        (23, ["NAME      OF..   WHY", "cpu-001   g5..   no c.."]),
        (16, ["NAME      WHY", "cpu-001   no c.."]),
        (9, ["NAME", "cpu-001"]),
        (3, ["N..", "c.."]),
    ],
)
def test_columns_are_shortened_then_dropped_from_the_right_essential_ones_last(
    limit: int | None, lines: list[str]
) -> None:
    assert table([ROW], COLUMNS, Style(width=limit)) == lines


def test_wide_shows_more() -> None:
    assert "MORE" in table([ROW], COLUMNS, Style(wide=True))[0]


def test_colour_changes_no_word_and_no_width() -> None:
    columns: tuple[Column[str], ...] = (Column("STATE", str), Column("X", lambda _: "x"))
    plain = table(["busy", "failed", "off"], columns, Style())
    coloured = table(["busy", "failed", "off"], columns, Style(colour=True))
    assert coloured[1] == "\x1b[32mbusy  \x1b[0m   x"
    assert [line.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "") for line in coloured] == plain


def test_a_cell_can_neither_command_the_terminal_nor_forge_a_line() -> None:
    (_, line) = table([{**ROW, "why": "a\nroot  idle\x1b[2J"}], COLUMNS, Style())
    assert line.endswith("a\\nroot  idle\\x1b[2J")


@given(st.text(max_size=30), st.integers(0, 30))
def test_shortening_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert width(shorten(text, limit)) <= limit


def test_wide_letters_count_twice() -> None:
    assert (width("節點"), shorten("節點節點", 6)) == (4, "節點..")


def test_parts_are_wrapped_where_the_width_ends() -> None:
    assert wrap(["seen", "slurm 1 s", "aws 4 min"], Style(width=20), 7) == ["seen   slurm 1 s", "       aws 4 min"]


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        ((), "-"),
        (("4188",), "4188"),
        (("4188_1", "4188_2", "4188_3"), "4188_[1-3]"),
        (("1", "2", "3", "4"), "1,2 +2"),
        (("77+0", "77+1"), "77+0,77+1"),
    ],
)
def test_jobs_on_a_node_are_shown_briefly(ids: tuple[str, ...], shown: str) -> None:
    assert words.jobs(ids) == shown


@pytest.mark.parametrize(
    ("amount", "shown"), [(None, "-"), (0.0, "0"), (0.49, "0.49"), (200.0, "200"), (0.0104, "0.01"), (0.004, "0.004")]
)
def test_money_keeps_digits_that_mean_something(amount: float | None, shown: str) -> None:
    assert words.money(amount) == shown
