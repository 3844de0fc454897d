"""The configuration in use with some of its keys changed, for trying what would be decided then.

A change is written as ``PATH=VALUE``: the path as mistakes name places (``sites.aws.limits.gpus``), the value as in
the file. What comes out has gone through the same checks as a file. Only what a decision goes by can be changed: no
plugin is built from it, and nothing listens anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from clues.config import document, scalars
from clues.config.loading import Loaded, checked
from clues.config.mistakes import Mistakes, Place, near, one_of, show, show_place
from clues.config.models import File
from clues.config.plugins import Plugins
from clues.errors import ConfigError
from clues.model import Settings

#: What a decision goes by.
SECTIONS = ("sites", "pools", "budget", "pace", "rates")

_STEP = re.compile(r"([^\[\]]+)((?:\[[0-9]{1,4}\])*)")

_EXAMPLE = "write PATH=VALUE, such as pools.gpu.idle=30min"


def what_if(loaded: Loaded, plugins: Plugins, changes: Iterable[str]) -> Settings:
    """Return the settings that *loaded* would have with these changes.

    :param changes: ``PATH=VALUE`` each; without a value the key is taken out. A path may begin with the name of a pool
        or of a site, too.
    :raises ConfigError: its text lists every mistake, one a line, with the path and the cure.
    """
    mistakes = Mistakes("--what-if")
    raw = deepcopy(dict(loaded.raw))
    for change in changes:
        _change(raw, change, mistakes)
    mistakes.lines.update(dict.fromkeys(_places(raw), 0))  # they have no lines, and are told by their paths alone
    changed = None if mistakes.found else checked(loaded.path, raw, plugins, mistakes)
    if changed is None:
        raise ConfigError("\n".join(mistakes.render()))
    return changed.settings


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Go through the places of all that stands in a value."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for step, part in parts:
        yield (*place, step)
        yield from _places(part, (*place, step))


def _change(raw: dict[str, Any], change: str, mistakes: Mistakes) -> None:
    text, equals, value = change.partition("=")
    place = _place(text.strip())
    if not equals or not place:
        mistakes.add((), f"{show(change)} is not a change: {_EXAMPLE}")
        return
    place = _whole(place, raw)
    if wrong := _unfit(place, raw):
        mistakes.add((), f"{show_place(place)}: {wrong}")
        return
    found = document.read_value(value.strip(), place, mistakes)
    if found is not scalars.WRONG:
        _put(raw, place, found, mistakes)


def _place(text: str) -> Place:
    """Return the steps of a path; empty for a text that is none."""
    steps: list[str | int] = []
    for part in text.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return ()
        steps.append(match[1])
        steps += [int(number) for number in re.findall("[0-9]+", match[2])]
    return tuple(steps)


def _whole(place: Place, raw: Mapping[str, Any]) -> Place:
    """Return a path from the top of the file: the name of a pool or of a site may stand first."""
    if place[0] in File.model_fields:
        return place
    homes = [section for section in ("pools", "sites") if place[0] in raw.get(section, {})]
    return (homes[0], *place) if len(homes) == 1 else place


def _unfit(place: Place, raw: Mapping[str, Any]) -> str:
    """Return why nothing can be changed at a place; empty when it can be tried."""
    section = place[0]
    if section not in SECTIONS:
        names = [*SECTIONS, *raw.get("pools", {}), *raw.get("sites", {})]
        known = section in File.model_fields
        text = "no decision goes by it" if known else f"there is no such key, pool or site{near(str(section), names)}"
        return f"{text}; what can be changed begins with {one_of(SECTIONS)}, or with the name of a pool or site"
    if section in ("sites", "pools"):
        names, what = list(raw.get(str(section), {})), str(section)[:-1]
        if len(place) < 3:
            return f"name a {what} and one of its keys: {_EXAMPLE}"
        if place[1] not in names:
            return f"there is no {what} {show(place[1])}{near(str(place[1]), names)}; there are: {one_of(names)}"
    return ""


def _put(raw: dict[str, Any], place: Place, value: Any, mistakes: Mistakes) -> None:
    """Set, or with None take out, what stands at a place; mappings on the way are made."""
    here: Any = raw
    for at, step in enumerate(place):
        last = at == len(place) - 1
        if isinstance(step, int):
            if not isinstance(here, list) or step >= len(here):
                mistakes.add((), f"{show_place(place)}: there is no {show_place(place[: at + 1])}")
                return
            if last:
                here[step] = value
            else:
                here = here[step]
        elif not isinstance(here, dict):
            mistakes.add((), f"{show_place(place)}: {show_place(place[:at])} has no keys")
            return
        elif not last:
            # what a plain value stood for (keep_warm: 2) is replaced as a whole
            inner = here.get(step)
            here[step] = here = inner if isinstance(inner, dict | list) else {}
        elif value is None:
            here.pop(step, None)
        else:
            here[step] = value
