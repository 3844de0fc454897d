"""Mistakes in a file, gathered so that all of them can be told at once.

A mistake knows where it stands (a path of keys, a line) and says what was found and what would be right. Only text that
is safe to show gets into one: values are quoted and cut short, so that each mistake stays on its own line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

#: Keys and positions from the top of the file: ``("pools", "gpu", "offers", 0, "site")``.
Place = tuple[str | int, ...]

#: More than so many mistakes are counted, not listed.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; ``line`` counts from 1 and is 0 where the file as a whole is meant."""

    line: int
    place: Place
    text: str


@dataclass(slots=True)
class Mistakes:
    """All mistakes of one file, as they are found; ``lines`` knows the line of each place that the file has."""

    file: str
    lines: dict[Place, int] = field(default_factory=dict)
    found: list[Mistake] = field(default_factory=list)

    def add(self, place: Place, text: str, *, line: int | None = None) -> None:
        """Note a mistake at *place*, or at the nearest place above it that stands in the file."""
        while line is None and place and place not in self.lines:
            place = place[:-1]
        self.found.append(Mistake(self.lines.get(place, 0) if line is None else line, place, text))

    def has_told(self, place: Place) -> bool:
        """Return whether a mistake at *place* or below it has been noted."""
        return any(mistake.place[: len(place)] == place for mistake in self.found)

    def render(self) -> tuple[str, ...]:
        """Return one line of text for each mistake, in the order of the file."""
        found = sorted(dict.fromkeys(self.found), key=lambda mistake: mistake.line)
        told = [self._line(mistake) for mistake in found[:_MOST]]
        if len(found) > _MOST:
            told.append(f"{self.file}: and {len(found) - _MOST} more mistakes")
        return tuple(told)

    def _line(self, mistake: Mistake) -> str:
        where = f"{self.file}:{mistake.line}" if mistake.line else self.file
        return ": ".join(part for part in (where, show_place(mistake.place), mistake.text) if part)


def show_place(place: Place) -> str:
    """Return a place as people write it: ``pools.gpu.offers[0].site``."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if step.isprintable() and len(step) <= 64 else show(step))
    return text


def show(value: object) -> str:
    """Return a value from the file for a message, in one short line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case int() | float():
            return str(value)
        case _:
            text = str(value)
            return repr(text if len(text) <= 60 else f"{text[:57]}...")


def one_of(allowed: Iterable[str]) -> str:
    """Return the allowed words for a message."""
    return ", ".join(allowed) or "nothing"


def near(word: str, allowed: Iterable[str]) -> str:
    """Return ``" (did you mean x?)"`` where an allowed word is much like *word*, else nothing."""
    close = difflib.get_close_matches(word[:64], list(allowed), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
