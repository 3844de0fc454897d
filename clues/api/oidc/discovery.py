"""Where the issuer's keys come from: its discovery document over HTTPS, or a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies

from clues.api.oidc.keys import Unreachable
from clues.config.api_values import Oidc

_MOST_BYTES = 1024 * 1024
#: For each connection and each silence, and for a whole answer.
_SILENCE_SECONDS, _LONGEST_SECONDS = 5.0, 10.0


def fetcher(oidc: Oidc) -> Callable[[], Sequence[Any]]:
    """Return what gets the issuer's keys; it raises :class:`Unreachable` with the reason."""
    if oidc.jwks_file is not None:
        path = oidc.jwks_file
        return lambda: _from_file(path)
    return lambda: _from_issuer(oidc)


def _from_file(path: Path) -> Sequence[Any]:
    try:
        with path.open("rb") as file:
            return _keys(_parsed(file.read(_MOST_BYTES), str(path)), str(path))
    except OSError as error:
        raise Unreachable(f"{path}: {error.strerror}") from error


def _from_issuer(oidc: Oidc) -> Sequence[Any]:
    url = f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration"
    document = _get(url, oidc)
    told = document.get("issuer")
    if told != oidc.issuer:  # OpenID Connect Discovery 1.0, 4.3: they have to be identical
        raise Unreachable(
            f"{url} tells of the issuer {told!r}, not of {oidc.issuer!r}: write it in clues.yaml as it is"
        )
    keys = document.get("jwks_uri")
    if not isinstance(keys, str) or urlsplit(keys).scheme != "https":
        raise Unreachable(f"{url} names no https:// address of its keys")
    return _keys(_get(keys, oidc), keys)


def _get(url: str, oidc: Oidc) -> dict[str, Any]:
    try:
        with requests.Session() as session:
            session.trust_env = False  # no netrc: nobody's password goes there
            proxies = get_environ_proxies(url)
            with session.get(
                url,
                timeout=_SILENCE_SECONDS,
                allow_redirects=False,
                stream=True,
                proxies=proxies,
                verify=str(oidc.ca_file) if oidc.ca_file else True,
                headers={"Accept": "application/json"},
            ) as answer:
                if answer.status_code != 200:
                    raise Unreachable(f"{url} answered {answer.status_code}")
                return _parsed(_content(answer, url), url)
    except (requests.RequestException, OSError, ValueError) as error:
        raise Unreachable(f"{url}: {error}"[:300]) from error


def _content(answer: requests.Response, url: str) -> bytes:
    ends, content = time.monotonic() + _LONGEST_SECONDS, b""
    for part in answer.iter_content(65536):
        content += part
        if len(content) > _MOST_BYTES or time.monotonic() > ends:
            raise Unreachable(f"{url}: the answer has no end")
    return content


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreachable(f"{where} is not JSON") from error
    if not isinstance(parsed, dict):
        raise Unreachable(f"{where} is not a JSON object")
    return parsed


def _keys(parsed: dict[str, Any], where: str) -> Sequence[Any]:
    keys = parsed.get("keys")
    if not isinstance(keys, list):
        raise Unreachable(f"{where} is not a set of keys")
    return keys
