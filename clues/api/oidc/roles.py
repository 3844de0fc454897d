"""A token's claims as a caller: which role they give, and with whose eyes it looks. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from clues.api.codec import printable
from clues.api.oidc.verifier import values
from clues.api.who import Caller
from clues.config.api_values import ClaimValue, Oidc

#: Whom Slurm does not know: no user's name has a blank.
STRANGER = "a stranger"
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,30}\$?")


def caller_of(claims: dict[str, Any], oidc: Oidc) -> Caller | None:
    """Return who has a token with these claims; None: it gives no role."""
    operator = _has(claims, oidc.operators)
    if not operator and not _has(claims, oidc.readers):
        return None
    user = _user(claims, oidc)
    name = printable(f"{user or claims['sub']}@{urlsplit(oidc.issuer).hostname}")
    identity = printable(f"{claims['sub']} at {oidc.issuer}")
    return Caller(name, identity, "token", None if operator else user or STRANGER)


def _has(claims: dict[str, Any], wanted: tuple[ClaimValue, ...]) -> bool:
    return any(value in values(claims, name) for name, value in wanted)


def _user(claims: dict[str, Any], oidc: Oidc) -> str:
    told = claims.get(oidc.user_claim) if oidc.user_claim else None
    return told if isinstance(told, str) and _USER.fullmatch(told) else ""
