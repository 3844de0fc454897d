"""Reads a YAML file as plain mappings, lists, texts and numbers, and remembers the line of each.

YAML has more in it than a configuration needs, and what it has beyond that is where accidents come from. So this
reader takes a plain part of it: no tags, anchors, aliases or merge keys, no key twice, and no text that YAML 1.1
quietly takes for something else (``no`` for false, ``010`` for 8, ``10:30`` for 630). Each of these is a mistake
that says how to write it instead. Size and depth are bounded before anything is built.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from clues.config import scalars
from clues.config.mistakes import Mistakes, Place, show

MOST_BYTES = 1 << 20
MOST_DEPTH = 20

_SECRET = re.compile(r"passw(or)?d|passphrase|secret|token|(api|private|access)_?-?key", re.IGNORECASE)
_SECRET_ELSEWHERE = re.compile(r"[_-](file|path|credential|name|endpoint)$", re.IGNORECASE)
_NO_SECRETS = "secrets do not belong in this file: name a file or a systemd credential"
_PASSWORD_IN_URL = re.compile(r"://[^/\s@]*:[^/\s@]+@")

#: PyYAML's complaints, told in words that name the cure; the first that is found in its text holds.
_COMPLAINTS = (
    ("\\t", "a tab stands where only spaces may: replace it with spaces"),
    ("expected a single document", "a second document begins here ('---'): write everything in one"),
    ("could not find expected ':'", "this line is neither 'key: value' nor part of the one before: is a ':' missing?"),
    (
        "mapping values are not allowed",
        "a ':' too many: put a text that holds ': ' in quotes, and check the indentation",
    ),
    ("expected <block end>", "the indentation does not fit the lines above: indent the keys of one mapping alike"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("unexpected end of stream", "a quote is not closed"),
    ("cannot start any token", "a text that begins with this sign has to stand in quotes"),
    ("tag", "tags ('!...') are not used in this file: put a text that begins with '!' in quotes"),
    ("alias", "anchors and aliases are not used in this file: put a text that begins with '*' or '&' in quotes"),
    ("anchor", "anchors and aliases are not used in this file: put a text that begins with '*' or '&' in quotes"),
)


class _Stop(Exception):
    """The rest of the file cannot be read; the mistake is noted."""


def read(path: Path, mistakes: Mistakes) -> dict[str, Any] | None:
    """Return the mapping that the file holds, without what is wrong in it, or None when nothing can be read.

    What is wrong is noted in *mistakes*, and so are the lines of all places.
    """
    try:
        text = _text(path, mistakes)
        node = _Composer(text, mistakes).get_single_node()
    except _Stop:
        return None
    except OSError as error:
        mistakes.add((), f"cannot be read: {error.strerror or error}")
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        mistakes.add((), f"the character U+{error.character:04X} is not allowed in YAML: remove it", line=line)
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{error.context or ''} {error.problem or ''}"
        told = next(
            (cure for words, cure in _COMPLAINTS if words in problem), "this is not YAML: check the indentation"
        )
        mistakes.add((), told, line=mark.line + 1 if mark else 0)
        return None
    except (ValueError, OverflowError):
        # PyYAML takes "\\UFFFFFFFF" and "%YAML 1.99…9" for numbers without looking at their size.
        mistakes.add((), "holds an escape ('\\U…') that stands for no character, or a number that is too large")
        return None
    if node is None:
        mistakes.add((), "is empty: it needs at least 'cluster', 'sites' and 'pools'")
        return None
    if not isinstance(node, yaml.MappingNode):
        mistakes.add((), "begins with a list or a text: it has to be keys and values ('cluster: ...')", line=1)
        return None
    return _mapping(node, (), mistakes)


def read_value(text: str, place: Place, mistakes: Mistakes) -> Any:
    """Return one value, written as after a key in the file; None for an empty text.

    What is wrong with it is noted at *place*, and ``scalars.WRONG`` is returned.
    """
    before = len(mistakes.found)
    try:
        node = _Composer(text, mistakes).get_single_node()
        value = None if node is None else _value(node, place, mistakes)
    except (_Stop, yaml.YAMLError, ValueError, OverflowError):
        wrong = f"{show(text)} is not a value: write it as in the file, in quotes where it holds ': ' or '#'"
        mistakes.add(place, wrong)
        return scalars.WRONG
    return value if len(mistakes.found) == before else scalars.WRONG


def _text(path: Path, mistakes: Mistakes) -> str:
    # Opened without waiting, so that a named pipe cannot hold up the daemon.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _stop(mistakes, "is larger than 1 MiB: this is not a configuration")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _stop(mistakes, "is written in UTF-16: save it as UTF-8")
    if b"\0" in data:
        raise _stop(mistakes, "is a binary file: it has to be text in YAML")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _stop(mistakes, "is not UTF-8 from here on: save the file as UTF-8", line=line) from None
    tabs = [number for number, line in enumerate(text.split("\n"), 1) if re.match(r" *\t", line)]
    for number in tabs:
        mistakes.add((), "a tab in the indentation: YAML allows only spaces there", line=number)
    if tabs:
        raise _Stop
    return text


def _stop(mistakes: Mistakes, text: str, *, line: int = 0) -> _Stop:
    mistakes.add((), text, line=line)
    return _Stop()


class _Composer(yaml.SafeLoader):  # it only composes; nothing is constructed
    """Builds the tree of nodes, which know their lines, and refuses what this file has no use for."""

    def __init__(self, text: str, mistakes: Mistakes) -> None:
        super().__init__(text)
        self._mistakes = mistakes
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            start, end = event.start_mark, event.end_mark
            self._mistakes.add((), "aliases ('*name') are not used in this file: write the values out", line=line)
            return yaml.ScalarNode(scalars.REFUSED, "", start, end)  # type: ignore[arg-type]
        if event.anchor is not None:
            self._mistakes.add((), "anchors ('&name') are not used in this file: remove it", line=line)
            event.anchor = None
        if event.tag is not None:
            self._mistakes.add((), "tags ('!name') are not used in this file: remove it", line=line)
        if self._depth >= MOST_DEPTH:
            raise _stop(self._mistakes, f"is nested more than {MOST_DEPTH} levels deep here", line=line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _mapping(node: yaml.MappingNode, place: Place, mistakes: Mistakes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _key(key_node, place, mistakes)
        if key is None:
            continue
        here = (*place, key)
        if key in first:
            mistakes.add(here, f"stands here a second time: it stands in line {first[key]} already", line=line)
            continue
        first[key] = mistakes.lines[here] = line
        if _is_secret(key, value_node):
            mistakes.add(here, _NO_SECRETS)
            continue
        value = _value(value_node, here, mistakes)
        if value is not scalars.WRONG:
            values[key] = value
    return values


def _key(node: yaml.Node, place: Place, mistakes: Mistakes) -> str | None:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        mistakes.add(place, "a key has to be a word, not a list or a mapping", line=line)
        return None
    if node.value == "<<" and node.style is None:
        mistakes.add(place, "merge keys ('<<') are not used in this file: write the keys out", line=line)
        return None
    value = scalars.resolve(node, lambda text: mistakes.add(place, f"as a key, {text}", line=line))
    if isinstance(value, str):
        return value
    if value is not scalars.WRONG:
        mistakes.add(place, f"the key {scalars.shown(node)} is not a text: put it in quotes", line=line)
    return None


def _value(node: yaml.Node, place: Place, mistakes: Mistakes) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, mistakes)
    if isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        for child in node.value:
            # The position is that among the good ones, so that places in the checked data mean the same.
            here = (*place, len(items))
            mistakes.lines[here] = child.start_mark.line + 1
            value = _value(child, here, mistakes)
            if value is not scalars.WRONG:
                items.append(value)
        return items
    if isinstance(node.value, str) and _PASSWORD_IN_URL.search(node.value):
        mistakes.add(place, _NO_SECRETS)
        return scalars.WRONG
    return scalars.resolve(node, lambda text: mistakes.add(place, text, line=node.start_mark.line + 1))


def _is_secret(key: str, value: yaml.Node) -> bool:
    # A site may be called "token-ring": what holds further keys is not itself a secret.
    if isinstance(value, yaml.MappingNode) or _SECRET_ELSEWHERE.search(key):
        return False
    return _SECRET.search(key) is not None
