"""Writes the configuration reference from the models that check the file, so that the two cannot differ.

``python -m tests.lab.docs_config`` writes ``docs/reference/configuration.md``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clues import units
from clues.config.fields import Words
from clues.config.models import File
from clues.config.plugins import CONNECTORS, LRMS, OVERLAYS, Plugins
from clues.config.section import PluginSection
from clues.config.sections import form_of, keys_of
from clues.registry import find_plugins

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "configuration.md"

_HEAD = """\
# Configuration

<!-- Generated from clues/config/models.py by `./dev docs`; do not edit. -->

The daemon reads one YAML file, `/etc/clues/clues.yaml`. `clues config check` tells every mistake in it, each with its
line. A file with a mistake is never used in part: a running daemon keeps the configuration that it has.

Amounts have units: memory `30GiB` (KiB, MiB, GiB, TiB in powers of 1024; MB, GB, TB in powers of 1000), durations
`90s`, `10min`, `2h`, `1d`, money `25 EUR`. Names that YAML could take for something else (`no`, `010`, `10:30`) stand
in quotes. Anchors, aliases, tags and merge keys are not used. Secrets do not stand in the file.
"""

#: Titles of what plugins add, by group of entry points.
_PLUGIN_TITLES = {CONNECTORS: "sites.NAME, connector: {}", LRMS: "lrms, type: {}", OVERLAYS: "overlay, type: {}"}


def render_reference(plugins: Plugins | None = None) -> str:
    """Return the reference as Markdown; the keys of *plugins* follow those of the core."""
    parts = [_HEAD, *_sections(File, "The file", "")]
    for group, title in _PLUGIN_TITLES.items():
        for name, plugin in sorted((plugins or {}).get(group, {}).items()):
            parts.append(_section(plugin.Config, f"`{title.format(name)}`"))
    return "\n".join(parts)


def render_installed() -> str:
    """Return the reference with the keys of all plugins that come with clues."""
    return render_reference(find_plugins())


def _sections(model: type[BaseModel], title: str, path: str) -> Iterator[str]:
    yield _section(model, title)
    for name, field in keys_of(model).items():
        kind, inner = form_of(field.annotation)
        if inner is not None:
            step = name + (".NAME" if kind is dict else "[]" if kind is list else "")
            below = f"{path}.{step}".lstrip(".")
            yield from _sections(inner, f"`{below}`", below)


def _section(model: type[BaseModel], title: str) -> str:
    lines = [f"## {title}", "", inspect.getdoc(model) or "", ""]
    if issubclass(model, PluginSection):
        lines += ["Further keys are those of the plugin.", ""]
    if not model.model_fields:
        return "\n".join([*lines, "It has no keys of its own.", ""])
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in keys_of(model).items():
        cells = (f"`{name}`", _value(field), _default(field), field.description or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _value(field: FieldInfo) -> str:
    annotation = field.annotation
    for part in (*field.metadata, *_metadata(annotation)):
        if isinstance(part, Words):
            return f"names, each with a {part.text}" if get_origin(annotation) is dict else part.text
    kind, inner = form_of(annotation)
    if inner is not None:
        short = f", or its `{inner.shorthand}` alone" if getattr(inner, "shorthand", "") else ""
        held = "names, each with keys" if kind is dict else "list of keys and values" if kind is list else "keys"
        return ("keys, or a " if inner.alone else "") + held + short
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return _plain(annotation)


_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path"}
_LISTS = {str: "list of texts", int: "list of whole numbers", Path: "list of paths"}


def _plain(annotation: Any) -> str:
    """Return how a plugin's value is called, which has no words of ours."""
    members = [member for member in get_args(annotation) if member not in (type(None), ...)]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{member}`" for member in members)
    if get_origin(annotation) in {tuple, list} and members:
        return _LISTS.get(members[0], "list of keys and values")
    if get_origin(annotation) in {Union, UnionType} and len(members) == 1:
        return _plain(members[0])
    return _PLAIN.get(annotation, "keys and values") if isinstance(annotation, type) else "keys and values"


def _metadata(annotation: Any) -> Iterator[Any]:
    """Yield what is annotated to the members of a union or the values of a mapping."""
    for member in get_args(annotation):
        yield from getattr(member, "__metadata__", ())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return _shown(field.default) if field.default_factory is None else ""


def _shown(value: object) -> str:
    match value:
        case None | "" | () | ("",):
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case Enum():
            return f"`{value.value}`"
        case timedelta():
            return f"`{units.show_duration(value).replace('.0 s', ' s')}`"
        case tuple():
            return ", ".join(_shown(item) for item in value)
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    COMMITTED.parent.mkdir(parents=True, exist_ok=True)
    COMMITTED.write_text(render_installed(), encoding="utf-8")
