"""From what a VM has written to what may be shown: bounded, without what moves a terminal's cursor, without secrets."""

from __future__ import annotations

import re

#: So many characters of the end are shown.
LONGEST = 65_536

_MARK = "[...]"

#: What a terminal takes for an order of its own: colours, titles, cursor keys.
_ORDERS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_TICKET = re.compile(r"(?i)(ticket\b['\":= ]+)[A-Za-z0-9._-]{8,}")
#: keys, tokens and tickets, as the last word of a boot leaves them out, too
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
#: where the text was cut, half of one may stand
_CUT = re.compile(r"\A[A-Za-z0-9+/=_.-]{8,}")


def shown(text: str) -> str:
    """Return the end of a VM's text as it may be shown, at most :data:`LONGEST` characters of it."""
    whole = len(text) <= LONGEST
    # more than is shown, so that what hides a secret that begins before the cut is found
    text = text[-2 * LONGEST :].replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = _ORDERS.sub("", text)
    text = "".join(letter if letter == "\n" or letter.isprintable() else "?" for letter in text)
    text = _KEY_BLOCK.sub(_MARK, text)
    text = _TICKET.sub(rf"\g<1>{_MARK}", text)
    text = _RUN.sub(_MARK, text)[-LONGEST:]
    # a provider has cut what is long before we did
    return text if whole and len(text) < 4096 else _CUT.sub(_MARK, text)
