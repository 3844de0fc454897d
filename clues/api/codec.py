"""Answers as JSON and back, quickly and without a validation library.

A reader ignores what it does not know and fills in what is missing; that is how an older ``clues`` speaks
with a newer daemon. What it does know has to be of the right type, so that a stranger on the socket is told
apart and no half-read answer reaches a screen.

Every text is made printable on its way out. Reasons, providers' words and job ids come from strangers, and a
terminal obeys control characters.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


class WireError(Exception):
    """The other side does not speak this API."""


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str, keep: str = "") -> str:
    """Return *text* with everything that a terminal could obey (control, bidi and lone surrogate characters)
    written as an escape; characters in *keep* stay."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else _ESCAPES.get(one) or one.encode("unicode_escape").decode("ascii")
        for one in text
    )


def encode(value: object) -> bytes:
    """Return *value*, one of the dataclasses of :mod:`clues.api.wire`, as JSON in ASCII."""
    return json.dumps(value, default=_as_dict, separators=(",", ":"), allow_nan=False).encode("ascii")


def _as_dict(value: Any) -> dict[str, Any]:
    """Hook of :mod:`json` for what it does not know: one dataclass at a time, so nothing is copied twice."""
    result = {}
    for name in _shape(type(value)):
        part = getattr(value, name)
        if isinstance(part, str):
            part = printable(part, keep="\n")
        elif type(part) is tuple and part and isinstance(part[0], str):
            part = [printable(one) for one in part]
        result[name] = part
    return result


_NUMBER = (int, float)
_NONE = type(None)

#: What each annotation in :mod:`clues.api.wire` admits in JSON.
_ADMITTED: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": _NUMBER,
    "int | None": (int, _NONE),
    "float | None": (*_NUMBER, _NONE),
    "tuple[str, ...]": (list,),
}


#: For each field of a dataclass: what it admits, and of what it is a list.
_Shape = dict[str, tuple[tuple[type, ...], type[Any] | None]]
_SHAPES: dict[type[Any], _Shape] = {}


def _shape(kind: type[Any]) -> _Shape:
    shape = _SHAPES.get(kind)
    if shape is None:
        lists = {one.name: one.metadata.get("of") for one in fields(kind)}
        shape = {
            one.name: ((list,) if lists[one.name] else _ADMITTED[str(one.type)], lists[one.name])
            for one in fields(kind)
        }
        _SHAPES[kind] = shape
    return shape


def decode(kind: type[T], data: Any) -> T:
    """Return *data*, parsed JSON, as *kind*.

    :raises WireError: when it is something else.
    """
    if not isinstance(data, dict):
        raise WireError(f"{kind.__name__} expected, {type(data).__name__} found")
    shape = _shape(kind)
    values: dict[str, Any] = {}
    for name, value in data.items():
        known = shape.get(name)
        if known is None:
            continue
        admitted, of = known
        fits = isinstance(value, admitted)
        if not fits:
            raise WireError(f"{kind.__name__}.{name} is a {type(value).__name__}")
        if of is not None:
            value = tuple([decode(of, one) for one in value])
        elif admitted[0] is list:
            if not all(isinstance(one, str) for one in value):
                raise WireError(f"{kind.__name__}.{name} holds something else than texts")
            value = tuple(value)
        values[name] = value
    try:
        return kind(**values)
    except TypeError as error:  # a field that has no default is missing
        raise WireError(f"{kind.__name__}: {error}") from error
