"""Slurm's short form for many node names: ``cpu-[001-100],gpu-[1-3,7]``.

Zeros before a number are kept: ``[08-10]`` is 08, 09, 10. Several brackets in one word multiply, the last one
runs fastest: ``w[1-2]-[1-2]`` is w1-1, w1-2, w2-1, w2-2. How many names a text stands for is reckoned
before the first one is made, so a short text can never fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

#: No hostlist stands for more names than this: as many nodes as Slurm can have.
MOST = 65_536

#: More digits than that in a bracket are no node number.
_LONGEST_NUMBER = 18

_WORDS = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")
_PARTS = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_LITERAL = re.compile(r"[A-Za-z0-9_.-]+")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)


class HostlistError(ValueError):
    """A text that is not a hostlist, or one for too many names; the message is fit for people."""


def expand(text: str, *, most: int = MOST) -> list[str]:
    """Return the names that *text* stands for, in its order, repeated ones repeated.

    An empty text stands for none. Blanks beside the commas between words are allowed.

    :raises HostlistError: for anything that is not a hostlist, and for more than *most* names.
    """
    words = [_parts(word) for word in _split(text)]
    total = 0
    for word in words:
        total += _size(word)
        if total > most:
            raise HostlistError(f"{_short(text)} stands for more than {most:,} names")
    return [name for word in words for name in _names(word)]


def compress(names: Iterable[str]) -> str:
    """Return the short form of *names*: sorted, each once. ``expand`` gives the same set of names back.

    :raises HostlistError: for a name that could not stand in a hostlist.
    """
    words: list[tuple[str, str, str]] = []
    numbered: dict[tuple[str, str], list[str]] = {}
    for name in set(names):
        if _LITERAL.fullmatch(name) is None or name.startswith("-"):
            raise HostlistError(f"{_short(name)} is not a node name")
        match = _LAST_NUMBER.fullmatch(name)
        if match and len(match[2]) <= _LONGEST_NUMBER:
            numbered.setdefault((match[1], match[3]), []).append(match[2])
        else:
            words.append((name, "", name))
    for (before, after), numbers in numbered.items():
        inside = ",".join(_ranges(numbers))
        inside = inside if len(numbers) == 1 else f"[{inside}]"
        words.append((before, after, f"{before}{inside}{after}"))
    return ",".join(word for _, _, word in sorted(words))


#: One word of a hostlist in pieces: a fixed text, or the ranges (first, last, width) that stand in a bracket.
_Part = str | list[tuple[int, int, int]]


def _split(text: str) -> list[str]:
    """Cut at the commas that stand outside brackets."""
    if not text.strip():
        return []
    words: list[str] = []
    position = 0
    while True:
        match = _WORDS.match(text, position)
        word = match[0].strip() if match else ""
        position = match.end() if match else position
        if position < len(text) and text[position] != ",":
            raise _refused(text, "a bracket too many")
        if not word:
            raise _refused(text, "an empty name")
        words.append(word)
        if position == len(text):
            return words
        position += 1


def _parts(word: str) -> list[_Part]:
    parts: list[_Part] = []
    for match in _PARTS.finditer(word):
        if match[2] is not None:
            if _LITERAL.fullmatch(match[2]) is None or (not parts and match[2].startswith("-")):
                raise _refused(word, "names have letters, digits and - _ . only")
            parts.append(match[2])
            continue
        ranges = [_range(item, word) for item in match[1].split(",")]
        parts.append(ranges)
    return parts


def _range(item: str, word: str) -> tuple[int, int, int]:
    match = _RANGE.fullmatch(item)
    if match is None:
        raise _refused(word, "a bracket holds numbers and ranges, such as [1-3,7]")
    first, last = match[1], match[2] or match[1]
    if max(len(first), len(last)) > _LONGEST_NUMBER:
        raise _refused(word, f"a number has at most {_LONGEST_NUMBER} digits")
    if last.startswith("0") and len(last) != len(first):
        raise _refused(word, f"write both ends of {item} with as many digits")
    if int(last) < int(first):
        raise _refused(word, f"{item} runs backwards")
    return int(first), int(last), len(first)


def _count(ranges: list[tuple[int, int, int]]) -> int:
    return sum(last - first + 1 for first, last, _ in ranges)


def _size(parts: list[_Part]) -> int:
    return prod(_count(part) for part in parts if not isinstance(part, str))


def _names(parts: list[_Part]) -> Iterator[str]:
    choices = [
        [part]
        if isinstance(part, str)
        else [str(number).zfill(width) for first, last, width in part for number in range(first, last + 1)]
        for part in parts
    ]
    return map("".join, product(*choices))


def _ranges(numbers: list[str]) -> Iterator[str]:
    """Yield ``001-100`` and ``7`` for the numbers of one prefix, which may be padded to several widths."""
    padded = {len(text) for text in numbers if len(text) > 1 and text.startswith("0")}

    def width(text: str) -> int:
        # A number without zeros joins the padded ones of its length: 08, 09 and 10 are one range.
        return len(text) if len(text) in padded else 0

    first = last = ""
    for text in sorted(numbers, key=lambda text: (width(text), int(text))):
        if first and width(text) == width(first) and int(text) == int(last) + 1:
            last = text
            continue
        if first:
            yield first if first == last else f"{first}-{last}"
        first = last = text
    yield first if first == last else f"{first}-{last}"


def _refused(text: str, why: str) -> HostlistError:
    return HostlistError(f"{_short(text)} is not a hostlist: {why}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
