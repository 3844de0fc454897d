"""Tables that fit the terminal.

When a table is too wide, the columns that may be are shortened, the rightmost first; when that is not enough,
columns are dropped from the right, those marked ``essential`` last. A table that is written into a pipe or
file has no width.

Colour says nothing that a word beside it does not say, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from clues.api.codec import printable

Row = TypeVar("Row")

GAP = "   "

#: SGR codes by the words that get a colour.
_COLOURS = {
    **dict.fromkeys(("busy", "idle", "running", "up", "good"), "32"),
    **dict.fromkeys(("wanted", "launching", "booting", "joining", "starting", "buying"), "36"),
    **dict.fromkeys(("draining", "held", "disabled", "paused", "misread", "unknown"), "33"),
    **dict.fromkeys(("failed", "down", "blind", "blocked", "bad"), "31"),
}


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: its title, and what it shows of a row."""

    title: str
    show: Callable[[Row], str]
    right: bool = False
    #: only with ``-o wide``
    wide: bool = False
    #: it may be shortened to so many characters; 0: it stays whole
    least: int = 0
    essential: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show. ``width`` None: no limit."""

    width: int | None = None
    height: int | None = None
    colour: bool = False
    wide: bool = False

    def paint(self, word: str, padded: str = "") -> str:
        """Return *word* (or its padded form) in its colour, if it has one."""
        code = _COLOURS.get(word.strip()) if self.colour else None
        return f"\x1b[{code}m{padded or word}\x1b[0m" if code else padded or word

    def cut(self, line: str) -> str:
        """Return *line* no wider than the terminal. Only for lines without colour."""
        return line if self.width is None else shorten(line, self.width)


def table(rows: Iterable[Row], columns: Sequence[Column[Row]], style: Style) -> list[str]:
    """Return the lines of a table, its titles first."""
    shown = [column for column in columns if style.wide or not column.wide]
    cells = [[printable(column.show(row)) for column in shown] for row in rows]
    natural = [max([len(column.title), *(width(row[at]) for row in cells)]) for at, column in enumerate(shown)]
    fitted = fit(shown, natural, style.width)
    lines = [_line([(shown[at], size, shown[at].title) for at, size in fitted], Style())]
    lines += [_line([(shown[at], size, row[at]) for at, size in fitted], style) for row in cells]
    return lines


def fit(columns: Sequence[Column[Row]], natural: Sequence[int], limit: int | None) -> list[tuple[int, int]]:
    """Return which columns are shown, by index, and how wide each is."""
    if limit is None:
        return list(enumerate(natural))
    least = [min(size, column.least) or size for column, size in zip(columns, natural, strict=True)]
    kept = list(range(len(columns)))
    for victim in sorted(range(1, len(columns)), key=lambda at: (columns[at].essential, -at)):
        if _total(least[at] for at in kept) <= limit:
            break
        kept.remove(victim)
    widths = {at: natural[at] for at in kept}
    for at in reversed(kept):
        excess = _total(widths.values()) - limit
        if excess <= 0:
            break
        widths[at] = max(least[at], widths[at] - excess)
    return [(at, min(size, limit)) for at, size in widths.items()]


def _total(widths: Iterable[int]) -> int:
    sizes = list(widths)
    return sum(sizes) + len(GAP) * (len(sizes) - 1)


def _line(parts: Sequence[tuple[Column[Row], int, str]], style: Style) -> str:
    cells = []
    for column, size, text in parts:
        text = shorten(text, size)
        space = " " * (size - width(text))
        cells.append(style.paint(text, space + text if column.right else text + space))
    return GAP.join(cells).rstrip()


def width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def shorten(text: str, limit: int) -> str:
    """Return *text* in at most *limit* columns, with a mark where something is missing."""
    if width(text) <= limit:
        return text
    while text and width(text) > limit - 2:
        text = text[: min(len(text) - 1, limit - 2)] if limit > 2 else ""
    return text + ".." if limit >= 2 else "." * limit


def wrap(parts: Sequence[str], style: Style, indent: int) -> list[str]:
    """Return *parts*, parted by gaps, on as many lines as the width needs; all but the first one indented."""
    lines: list[str] = []
    for part in parts:
        if lines and (style.width is None or width(lines[-1]) + len(GAP) + width(part) <= style.width):
            lines[-1] += GAP + part
        else:
            lines.append(style.cut(" " * indent + part if lines else part))
    return lines
