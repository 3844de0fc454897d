"""The forms of output: a table for people, JSON and YAML for programs, names for shells.

JSON goes from the daemon to standard output as it came: nothing is lost, and nothing takes time. Only a
terminal gets it indented.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TextIO, TypeVar

from clues.api.codec import WireError, decode
from clues.cli.errors import NotReachable
from clues.cli.tables import Style

FORMATS: dict[str, str] = {
    "table": "for people; as wide as the terminal (the default)",
    "wide": "the same with more columns",
    "json": "everything, as the daemon tells it; the shape is the API's `v1`",
    "yaml": "the same as YAML",
    "name": "one name on each line, for scripts",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How one kind of answer is shown."""

    kind: type[T]
    lines: Callable[[T, Style], Iterable[str]]
    names: Callable[[T], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Output:
    """Where output goes and in which form."""

    form: str = "table"
    tty: bool = False
    style: Style = field(default_factory=Style)

    def show(self, raw: bytes, view: View[T]) -> None:
        """Write an answer of the daemon."""
        if self.form == "json":
            self.write(_json(raw) if self.tty else raw.decode("ascii"))
        elif self.form == "yaml":
            self.write(_yaml(raw))
        else:
            value = parse(view.kind, raw)
            lines = view.names(value) if self.form == "name" else view.lines(value, self.style)
            self.write("\n".join(lines))

    def write(self, text: str) -> None:
        """Write *text* and a line end, at once."""
        self.draw(text if not text or text.endswith("\n") else f"{text}\n")

    def draw(self, text: str) -> None:
        """Write *text* as it is, at once."""
        sys.stdout.write(text)
        sys.stdout.flush()


def make_output(form: str, stream: TextIO, environment: Mapping[str, str]) -> Output:
    """Return the output for *stream*: colour and width only on a terminal, colour not against
    ``NO_COLOR``."""
    tty = stream.isatty()
    width = height = None
    if tty:
        try:
            width, height = os.get_terminal_size(stream.fileno())
        except OSError:
            width = height = None
        # A terminal that does not know its size says 0.
        width, height = width or 80, height or 24
    colour = tty and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Output(form, tty, Style(width=width, height=height, colour=colour, wide=form == "wide"))


def parse(kind: type[T], raw: bytes) -> T:
    """Return the daemon's answer as a value.

    :raises NotReachable: when it is not one of this API.
    """
    try:
        return decode(kind, json.loads(raw))
    except (WireError, ValueError, RecursionError) as error:
        raise NotReachable(f"the answer is not cluesd's, or of another version: {error}") from error


def _load(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotReachable(f"the answer is not cluesd's: {error}") from error


def _json(raw: bytes) -> str:
    return json.dumps(_load(raw), indent=2)


def _yaml(raw: bytes) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(_load(raw), Dumper=dumper, sort_keys=False, allow_unicode=False))
