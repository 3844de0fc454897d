"""What a single word of the file means: a text, a whole number, a number, true or false, or nothing.

Words in quotes are always texts. Of plain words only those are taken for something else on which YAML 1.1, YAML 1.2 and
people agree; where they do not, the word is a mistake, so that nobody has to know which of them is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import yaml

from clues.config.mistakes import show

#: The tag of a node in whose place nothing can be read; its mistake is noted already.
REFUSED = "refused"


class _Wrong(Enum):
    WRONG = auto()


#: Stands for a value that was a mistake.
WRONG = _Wrong.WRONG

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")

#: Longer numbers mean nothing here, and are slow to read.
_LONGEST_NUMBER = 18

#: Words on which readers disagree: how they look, and what to say.
_TRAPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"(?i:yes|no|on|off)"),
        "{0} is true or false to some readers of YAML and a text to others: write true or false, or put it in quotes",
    ),
    (
        re.compile(r"[-+]?0[0-9_]+"),
        "{0} is an octal number to some readers of YAML: write it without the zero in front, or in quotes",
    ),
    (
        re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"),
        "{0} is a number to some readers of YAML: write it in plain digits, or in quotes",
    ),
    (
        re.compile(r"[-+]?[0-9]+(_[0-9_.]*|[0-9]*\.[0-9]*_[0-9_]*)"),
        "{0} is a number to some readers of YAML: write it without the signs '_', or in quotes",
    ),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
        "{0} counts in sixties to some readers of YAML: put it in quotes",
    ),
    (re.compile(r"[-+]?\.(?i:inf)|\.(?i:nan)"), "{0} is not a finite number"),
    (re.compile(r"="), "{0} has a meaning of its own in YAML: put it in quotes"),
)


def resolve(node: yaml.Node, complain: Callable[[str], None]) -> Any:
    """Return what the word means, or :data:`WRONG` after calling *complain* with what is wrong and the cure."""
    if node.tag == REFUSED:
        return WRONG
    word: str = node.value
    if getattr(node, "style", None) is not None:
        return word
    for trap, text in _TRAPS:
        if trap.fullmatch(word):
            complain(text.format(shown(node)))
            return WRONG
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _INTEGER.fullmatch(word) or _NUMBER.fullmatch(word):
        return _number(word, complain)
    return word


def shown(node: yaml.Node) -> str:
    """Return the word as it stands in the file, for a message."""
    return show(str(node.value)).strip("'") if getattr(node, "style", None) is None else show(str(node.value))


def _number(word: str, complain: Callable[[str], None]) -> Any:
    if _INTEGER.fullmatch(word) and len(word) <= _LONGEST_NUMBER:
        return int(word)
    if not _INTEGER.fullmatch(word) and math.isfinite(number := float(word)):
        return number
    complain(f"{show(word)} is too large a number")
    return WRONG
