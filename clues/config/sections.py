"""Reads the file's mappings into their models, key by key, so that every mistake is found in one go.

pydantic checks one value at a time here: a key that is wrong is noted and left out, and what stands beside it is
checked all the same, also by the checks across the file. A key that could not be read is absent from its
section, or has its default; :func:`has` tells.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from clues.config.mistakes import Mistakes, Place, near, one_of, show
from clues.config.section import Section

S = TypeVar("S", bound=Section)


def read_section(model: type[S], raw: object, place: Place, mistakes: Mistakes) -> S:
    """Return *raw* as a section of this model, without the keys that are wrong; those are noted."""
    if model.shorthand and not isinstance(raw, dict):
        raw = {model.shorthand: raw}
    if not isinstance(raw, dict):
        mistakes.add(place, f"has to hold keys and values ({one_of(model.model_fields)})")
        return model.model_construct()
    fields = model.model_fields
    others = {name: value for name, value in raw.items() if name not in fields}
    takes_others = model.model_config.get("extra") == "allow"
    section = model.model_construct()
    if takes_others:
        # Handed over beside the constructor, whose own arguments a stranger's key could hit.
        object.__setattr__(section, "__pydantic_extra__", others)
    else:
        refuse_unknown(others, fields, place, mistakes)
    for name, field in fields.items():
        here = (*place, name)
        if name in raw:
            _read_field(section, name, raw[name], here, mistakes)
        elif field.is_required() and here not in mistakes.lines:
            mistakes.add(place, _missing(name, fields))
    return section


def has(section: Section, *names: str) -> bool:
    """Return whether these keys could be read (or have a default)."""
    return all(name in section.__dict__ for name in names)


def refuse_unknown(names: Iterable[str], known: Iterable[str], place: Place, mistakes: Mistakes) -> None:
    """Note each of *names* as a key that is not known here."""
    allowed = list(known)
    for name in names:
        mistakes.add((*place, name), _unknown(name, allowed))


def told(error: ValidationError, model: type[BaseModel], place: Place, mistakes: Mistakes) -> None:
    """Note all that pydantic found wrong with a value that was to become *model*, and stands at *place*."""
    for detail in error.errors(include_url=False):
        where: Place = (*place, *detail["loc"])
        if detail["type"] == "missing" and where in mistakes.lines:
            continue  # it is there, and what is wrong with it has been told
        mistakes.add(where, _sentence(detail, model))


def _read_field(section: Section, name: str, raw: object, place: Place, mistakes: Mistakes) -> None:
    field = type(section).model_fields[name]
    kind, inner = form_of(field.annotation)
    value = raw
    if raw is None:
        mistakes.add(place, f"is empty: {field.description}")
        return
    if inner is not None:
        if kind is dict:
            if not isinstance(raw, dict):
                mistakes.add(place, "has to hold names, each with keys and values of its own")
                return
            value = {key: read_section(inner, item, (*place, key), mistakes) for key, item in raw.items()}
        elif kind is list:
            if not isinstance(raw, list) and inner.alone:
                value = [read_section(inner, raw, place, mistakes)]
            elif not isinstance(raw, list):
                mistakes.add(place, "has to be a list: begin each entry with '- '")
                return
            else:
                value = [read_section(inner, item, (*place, at), mistakes) for at, item in enumerate(raw)]
        else:
            value = read_section(inner, raw, place, mistakes)
    try:
        setattr(section, name, value)
    except ValidationError as error:
        told(error, type(section), place[:-1], mistakes)


def form_of(annotation: Any) -> tuple[type | None, type[Section] | None]:
    """Return how a key holds sections: (dict, model), (list, model), (None, model); (None, None) if it does not."""
    origin = get_origin(annotation)
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if isinstance(annotation, type) and origin is None and issubclass(annotation, Section):
        return None, annotation
    if origin in {Union, types.UnionType} and len(arguments) == 1:
        return form_of(arguments[0])
    if origin in {dict, list}:
        held = form_of(arguments[-1])[1]
        return (origin, held) if held else (None, None)
    return None, None


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what pydantic found, in our words."""
    found, context = show(detail.get("input")), detail.get("ctx", {})
    where = detail["loc"]
    match detail["type"]:
        case "value_error":
            return str(context.get("error", detail["msg"]))
        case "missing":
            return _missing(str(where[-1]), _fields(model, where[:-1]))
        case "extra_forbidden":
            return _unknown(str(where[-1]), list(_fields(model, where[:-1])))
        case "enum" | "literal_error":
            allowed = str(context.get("expected", "another word"))
            words = re.findall(r"'([^']*)'", allowed)
            return f"found {found}: it has to be {allowed}{near(str(detail.get('input')), words)}"
        case "string_type":
            return f"found {found} where a text is expected: put it in quotes"
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return f"found {found}: it has to hold keys and values"
        case "list_type" | "tuple_type" | "set_type" | "frozen_set_type":
            return f"found {found}: it has to be a list"
        case _:
            return f"found {found}: {detail['msg']}"


def _unknown(name: str, allowed: list[str]) -> str:
    return f"this key is not known here{near(name, allowed)}" + (f"; known are: {one_of(allowed)}" if allowed else "")


def _missing(name: str, fields: Mapping[str, FieldInfo]) -> str:
    meaning = fields[name].description if name in fields else None
    return f"'{name}' is missing" + (f": {meaning}" if meaning else "")


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the keys under which they stand in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _fields(model: type[BaseModel], place: Place) -> dict[str, FieldInfo]:
    """Return the keys that a model has at *place* below it, nothing where that cannot be told."""
    at: Any = model
    for step in place:
        at = _below(at, step)
    return keys_of(at) if isinstance(at, type) and issubclass(at, BaseModel) else {}


def _below(annotation: Any, step: str | int) -> Any:
    """Return the type of what stands under *step* in a value of this type, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = keys_of(annotation).get(str(step))
        annotation = field.annotation if field else None
    else:
        annotation = get_args(annotation)[-1] if get_args(annotation) else None
    members = [member for member in get_args(annotation) if member is not type(None)]
    return members[0] if get_origin(annotation) in {Union, types.UnionType} and len(members) == 1 else annotation
