"""What all calls that act have in common: an idempotency key, and a line in the audit log.

A route that acts takes an :class:`~clues.model.Order` from :func:`ordering` and hands it to ``Control.act`` with the
call that has the effect. One that was answered before is answered again before anything else is looked at, since by
then the order may no longer be possible: its VM has gone.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from clues.api.codec import printable
from clues.api.problems import Answered
from clues.api.who import who
from clues.model import Deed, Order
from clues.ports import Control

_LONGEST_TARGET = 500

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        pattern="^[!-~]*$",
        description="what the caller calls this one order, such as a UUID: sent again within a day it is answered "
        "again, and not done again",
    ),
]


async def _body_of(request: Request) -> bytes:
    return await request.body()


def ordering(control: Control) -> Any:
    """Return the dependency that makes a request an order."""

    def order(
        request: Request, body: Annotated[bytes, Depends(_body_of)], idempotency_key: IdempotencyKey = ""
    ) -> Order:
        caller, act = who(request), f"{request.method} {request.url.path}"
        deed = Deed(caller.name, caller.identity, caller.way, act, target(body))
        made = Order(deed, idempotency_key, hashlib.sha256(f"{act}\n".encode() + body).hexdigest())
        if (before := control.answered(made)) is not None:
            raise Answered(before)
        return made

    return Depends(order)


def target(body: bytes) -> str:
    """Return what an order is for, in short: the values of its body."""
    try:
        told = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return ""
    values = told.values() if isinstance(told, dict) else [told]
    words = (",".join(map(str, one)) if isinstance(one, list) else str(one) for one in values)
    return printable(" ".join(word for word in words if word)[:_LONGEST_TARGET])
