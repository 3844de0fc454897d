"""Who we are to OpenNebula: one line ``user:password`` or ``user:token`` in a file, as its own tools have it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clues.errors import AuthFailed
from connectors.common import credentials


def read(reference: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return user and secret. Read anew each time, so whoever renews the file needs to tell nobody.

    :raises AuthFailed: they cannot be had; the text says what to do.
    """
    path = credentials.find(reference) if reference else _of_environment(environ)
    user, colon, secret = credentials.read(path).partition(":")
    if not (user and colon and secret) or not (user + secret).isprintable():
        raise AuthFailed(f"{path} is not one line of the form user:password")
    return user, secret


def _of_environment(environ: Mapping[str, str]) -> Path:
    if not environ.get("ONE_AUTH"):
        raise AuthFailed("no credentials are named: write `credentials:` with the site, or set $ONE_AUTH for cluesd")
    return Path(environ["ONE_AUTH"])
