"""What a terminal sends for a key. Two ways are in use for arrows (``ESC [ A`` and ``ESC O A``)."""

from __future__ import annotations

from collections.abc import Iterator

UP, DOWN, LEFT, RIGHT = "up", "down", "left", "right"
PAGE_UP, PAGE_DOWN, HOME, END = "page-up", "page-down", "home", "end"
ENTER, ESCAPE, TAB, BACK_TAB, BACKSPACE = "enter", "escape", "tab", "back-tab", "backspace"

_SEQUENCES = {
    "A": UP,
    "B": DOWN,
    "C": RIGHT,
    "D": LEFT,
    "H": HOME,
    "F": END,
    "Z": BACK_TAB,
    "5~": PAGE_UP,
    "6~": PAGE_DOWN,
    "1~": HOME,
    "4~": END,
    "7~": HOME,
    "8~": END,
}
_SINGLE = {"\r": ENTER, "\n": ENTER, "\t": TAB, "\x7f": BACKSPACE, "\b": BACKSPACE}


def keys(text: str) -> Iterator[str]:
    """Go through the keys in what a terminal has sent: names as above, else the character; unknown ones are skipped."""
    at = 0
    while at < len(text):
        one = text[at]
        at += 1
        if one != "\x1b":
            if name := _SINGLE.get(one):
                yield name
            elif one.isprintable():
                yield one
            continue
        if text[at : at + 1] not in ("[", "O"):
            yield ESCAPE
            continue
        start = at = at + 1
        while at < len(text) and not ("@" <= text[at] <= "~"):  # parameters, then one final character (ECMA-48)
            at += 1
        at += 1
        if name := _SEQUENCES.get(text[start:at]):
            yield name
