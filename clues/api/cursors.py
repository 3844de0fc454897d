"""Cursors: where a list that grows is read on from. What stands in one is nobody's business but ours.

A cursor names the last row that was told, by a number that never changes, so what is written meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import Query

from clues.api.problems import refuse

Cursor = Annotated[
    str, Query(max_length=100, description="`next` of the answer before", json_schema_extra={"format": "cursor"})
]


def make_cursor(kind: str, number: int) -> str:
    """Return the cursor behind a row."""
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode().rstrip("=")


def cursor_of(kind: str, cursor: str) -> int:
    """Return the number of the row that a cursor names; 0 for none.

    :raises clues.api.problems.Refusal: it is none of this list's.
    """
    if not cursor:
        return 0
    try:
        found, _, number = (
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            .decode("ascii")
            .partition(":")
        )
        if found == kind and number.isdecimal() and len(number) < 20 and 0 < int(number) < 10**16:
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise refuse(400, "Not a cursor", "this cursor is none of this list's: take `next` of its answer as it is")
