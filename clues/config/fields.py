"""The kinds of values that keys have: read from the text of the file, described in words for the reference.

Each kind is a type that pydantic checks with a function from here; the function's :class:`ValueError` is the text that
the sysadmin reads (and always a ValueError, since that is what pydantic gathers: hence no TypeError).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticUndefined

from clues import units
from clues.config.mistakes import show
from clues.config.windows import parse_windows, parse_zone
from clues.hostlist import expand
from clues.model import ANY_GPU, Gpu, Market, Window, make_gpus
from clues.naming import what_is_wrong_with_node, what_is_wrong_with_word


@dataclass(frozen=True, slots=True)
class Words:
    """How the reference calls a kind of value."""

    text: str


T = TypeVar("T")

#: Longer durations are mistakes, and added to a date they would leave the calendar.
_LONGEST = timedelta(days=3650)


def _text(value: object, example: str) -> str:
    """Return *value* if it is a text short enough to be an amount."""
    if isinstance(value, str) and value.strip() and len(value) <= 40:
        return value
    raise ValueError(f"found {show(value)}: write a number and its unit, such as '{example}'")


def _memory(value: object) -> int:
    mib = _bounded(units.parse_memory, _text(value, "30GiB"))
    if not 1 <= mib <= 1 << 40:
        raise ValueError(f"{value!r} is no memory that a machine has")
    return mib


def _duration(value: object) -> timedelta:
    duration = value if isinstance(value, timedelta) else _bounded(units.parse_duration, _text(value, "10min"))
    if duration > _LONGEST:
        raise ValueError(f"{show(value)} is too much: at most {_LONGEST.days}d")
    return duration


def _idle(value: object) -> timedelta | str:
    return value if value in ("auto", "by-price") else _duration(value)


def _some_time(value: object) -> timedelta:
    duration = _duration(value)
    if not duration:
        raise ValueError("has to be longer than nothing")
    return duration


def _money(value: object) -> units.Money:
    if isinstance(value, units.Money):
        return value
    money = _bounded(units.parse_money, _text(value, "25 EUR"))
    if not math.isfinite(money.amount):
        raise ValueError(f"{value!r} is too much")
    return money


def _bounded(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except OverflowError:
        raise ValueError(f"{text!r} is too much") from None


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"found {show(value)}: write a whole number, without quotes")  # noqa: TRY004
        if value < least:
            raise ValueError(f"{value} is too small: it has to be at least {least}")
        if value > most:
            raise ValueError(f"{value} is too large: it can be at most {most}")
        return value

    return check


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"found {show(value)}: write a number, without quotes")  # noqa: TRY004
    if not 0 < value <= 10**9:
        raise ValueError(f"{value} has to be more than 0, and at most {10**9}")
    return float(value)


def _share(value: object) -> float:
    share = _positive(value)
    if share > 1:
        raise ValueError(f"{value} is more than 1, which is all of it")
    return share


def _percent(value: object) -> float:
    if isinstance(value, float) and 0 < value <= 1:
        return value
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", value) if isinstance(value, str) else None
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError(f"found {show(value)}: write a share from 1% to 100%")
    return float(match[1]) / 100


def _gpus(value: object) -> tuple[Gpu, ...]:
    """Read ``1``, ``"a10:1"`` or ``"a10:1,t4:2"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return make_gpus([Gpu(ANY_GPU, _whole(0, 1024)(value))])
    how = 'write a count, or types with their counts, such as "a10:1" or "a10:1,t4:2"'
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"found {show(value)}: {how}")
    gpus: list[Gpu] = []
    for item in value.split(","):
        match = re.fullmatch(r"\s*(?:([A-Za-z][A-Za-z0-9_.-]{0,63})\s*:\s*)?([0-9]{1,4})\s*", item)
        if match is None or (match[1] is None and "," in value):
            raise ValueError(f"{show(value)} does not tell GPUs: {how}")
        kind = match[1] or ANY_GPU
        if any(gpu.type == kind for gpu in gpus):
            raise ValueError(f"{show(value)} names the type {kind} twice")
        gpus.append(Gpu(kind, _whole(0, 1024)(int(match[2]))))
    return make_gpus(gpus)


def _nodes(value: object) -> tuple[str, ...]:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"found {show(value)}: write a hostlist, such as cpu-[001-100]")
    names = expand(value)
    lower: set[str] = set()
    for name in names:
        if wrong := what_is_wrong_with_node(name):
            raise ValueError(f"{show(name)} cannot be a node: {wrong}")
        if name.lower() in lower:
            raise ValueError(f"names {name} twice (capital and small letters count as the same)")
        lower.add(name.lower())
    return tuple(names)


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"found {show(value)} where a name is expected: put it in quotes")  # noqa: TRY004
    if wrong := what_is_wrong_with_word(value):
        raise ValueError(f"{show(value)} cannot be a name: {wrong}")
    return value


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"found {show(value)} where a text is expected: put it in quotes")  # noqa: TRY004
    if not value.isprintable() or len(value) > 255 or value != value.strip():
        raise ValueError(f"{show(value)} has to be one line of at most 255 signs, with no blanks at its ends")
    return value


def as_name(value: object) -> str:
    """Return *value* if it is one line of text that is not empty."""
    if not _line(value):
        raise ValueError("is empty")
    return str(value)


def url_parts(text: str) -> SplitResult:
    """Return a URL's parts.

    :raises ValueError: it is none, or its host or port cannot be told.
    """
    try:
        parts = urlsplit(text)
        _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    return parts


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"found {show(value)}: write true or false")  # noqa: TRY004
    return value


def _currency(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError(f"{show(value)} is not a currency: write its three letters, such as EUR")
    return value


def as_path(value: object) -> Path:
    """Return an absolute path."""
    path = value if isinstance(value, Path) else Path(as_name(value))
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{show(str(path))} is not an absolute path")
    return path


def _socket(value: object) -> Path:
    path = as_path(value)
    if len(bytes(path)) > 107:  # sun_path of Linux, less its final zero
        raise ValueError(f"{show(str(path))} is too long for a socket: at most 107 bytes")
    return path


def as_list(value: Any) -> Any:
    """Return a list as it is, and anything else as the only one of a list."""
    if isinstance(value, list) and not value:
        raise ValueError("is an empty list")
    return value if isinstance(value, list | tuple) else [value]


def _windows(value: object) -> tuple[Window, ...]:
    lines = as_list(value)
    return tuple(window for line in lines for window in ([line] if isinstance(line, Window) else _lines_windows(line)))


def _lines_windows(line: object) -> tuple[Window, ...]:
    return parse_windows(as_name(line)) if line != "" else ()


def _driver(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9]{1,5}(?:\.[0-9]{1,5}){0,2})?", value):
        raise ValueError(f'found {show(value)}: write a version in quotes, such as "535.104"')
    return value


def _time_zone(value: object) -> str:
    return parse_zone(as_name(value)).key


def _account(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9_][a-z0-9_.@+-]{0,99}", value):
        raise ValueError(f"{show(value)} is no account of Slurm's: write it in small letters, as `sacctmgr` shows it")
    return value


Memory = Annotated[int, BeforeValidator(_memory), Words("memory: `30GiB`, `512MiB`, `32GB`")]
Duration = Annotated[timedelta, BeforeValidator(_duration), Words("duration: `90s`, `10min`, `2h`")]
Idle = Annotated[
    timedelta | Literal["auto", "by-price"],
    BeforeValidator(_idle),
    Words("duration: `90s`, `10min`; `by-price`; or `auto`"),
]
SomeTime = Annotated[timedelta, BeforeValidator(_some_time), Words("duration above 0: `90s`, `10min`, `2h`")]
Money = Annotated[units.Money, BeforeValidator(_money), Words("money: `25 EUR`")]
Count = Annotated[int, BeforeValidator(_whole(0, 10**9)), Words("whole number, 0 or more")]
Number = Annotated[int, BeforeValidator(_whole(1, 10**6)), Words("whole number, 1 or more")]
Cpus = Annotated[int, BeforeValidator(_whole(1, 65_533)), Words("whole number, 1 or more")]
Positive = Annotated[float, BeforeValidator(_positive), Words("number above 0")]
Share = Annotated[float, BeforeValidator(_share), Words("number above 0, at most 1")]
Percent = Annotated[float, BeforeValidator(_percent), Words("share: `10%`")]
Gpus = Annotated[tuple[Gpu, ...], BeforeValidator(_gpus), Words('GPUs: `1`, `"a10:1"`, `"a10:1,t4:2"`')]
Nodes = Annotated[tuple[str, ...], BeforeValidator(_nodes), Words("hostlist: `cpu-[001-100]`")]
Word = Annotated[str, BeforeValidator(_word), Words("name")]
Name = Annotated[str, BeforeValidator(as_name), Words("text")]
Line = Annotated[str, BeforeValidator(_line), Words("text")]
Windows = Annotated[tuple[Window, ...], BeforeValidator(_windows), Words("days and hours, or a list of them")]
YesNo = Annotated[bool, BeforeValidator(_yes_or_no), Words("`true` or `false`")]
Currency = Annotated[str, BeforeValidator(_currency), Words("currency: its three letters")]
Driver = Annotated[str, BeforeValidator(_driver), Words('version in quotes: `"535.104"`')]
TimeZone = Annotated[str, BeforeValidator(_time_zone), Words("time zone: `Europe/Prague`")]
Account = Annotated[str, BeforeValidator(_account), Words("account")]
Folder = Annotated[Path, BeforeValidator(as_path), Words("absolute path")]
Socket = Annotated[Path, BeforeValidator(_socket), Words("absolute path, at most 107 bytes")]
Names = Annotated[tuple[Name, ...], BeforeValidator(as_list), Words("text, or a list of them")]
Markets = Annotated[tuple[Market, ...], BeforeValidator(as_list), Words("`on-demand`, `spot`, or a list of them")]
WordList = Annotated[tuple[Word, ...], BeforeValidator(as_list), Words("name, or a list of them")]


def key(description: str, default: Any = PydanticUndefined, **more: Any) -> Any:
    """Return a pydantic field with its meaning, as the reference tells it; without a default it has to be there."""
    return Field(default, description=description, **more)
