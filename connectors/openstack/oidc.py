"""Access tokens of an OpenID Connect issuer: read from a file that something else keeps fresh, or asked for with a
refresh token.

An issuer may answer with a new refresh token and end the old one. The new one is kept in the daemon's folder, private,
with a fingerprint of the one that the sysadmin gave: when that one changes, it counts again.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from clues.errors import AuthFailed
from connectors.common import credentials
from connectors.common.failures import Failures, Refused
from connectors.openstack.config import OidcConfig
from connectors.openstack.transport import Trust, exchange

#: a token is not used any more when it ends so soon
_MARGIN = 60.0


def ends_at(token: str) -> datetime | None:
    """Return when a token ends, as it says itself; None where it says nothing. It is not verified: whoever could forge
    it could only mislead us about when to ask for another."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return None


class AccessTokens:
    """Where the access tokens of a site come from."""

    def __init__(self, config: OidcConfig, keep: Path, timeout: float, failures: Failures) -> None:
        """:param keep: the file for a refresh token that the issuer has changed."""
        self._config, self._keep, self._timeout, self._failures = config, keep, timeout, failures
        self._lock = threading.Lock()
        self._token, self._good_until = "", 0.0

    def get(self) -> str:
        """Return a token that is good now.

        :raises CloudError: there is none; the text says what to do.
        """
        if not self._config.refresh_token_file:
            return credentials.read(credentials.find(self._config.access_token_file))
        with self._lock:
            if time.monotonic() > self._good_until:
                self._refresh()
            return self._token

    def refused(self) -> None:
        """Ask for another one the next time: the cloud has refused this one."""
        self._good_until = 0.0

    def until(self) -> datetime | None:
        """Return when it is all over: when the refresh token ends, or else an access token that nobody renews."""
        config = self._config
        if config.refresh_token_file:
            given = credentials.read(credentials.find(config.refresh_token_file))
            return ends_at(self._kept(given) or given)
        if config.renewed:
            return None
        return ends_at(credentials.read(credentials.find(config.access_token_file)))

    def _refresh(self) -> None:
        config = self._config
        given = credentials.read(credentials.find(config.refresh_token_file))
        kept = self._kept(given)
        try:
            answer = self._ask(kept or given)
        except AuthFailed:
            if not kept:
                raise
            answer = self._ask(given)  # the sysadmin may have taken up the same one again
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise AuthFailed(f"{config.token_endpoint} answered without an access token")
        fresh = answer.get("refresh_token")
        if isinstance(fresh, str) and fresh and fresh != (kept or given):
            self._store(given, fresh)
        lasts = answer.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) else 300.0
        self._token, self._good_until = token, time.monotonic() + max(0.0, seconds - _MARGIN)

    def _ask(self, refresh_token: str) -> Mapping[str, object]:
        config, url = self._config, str(self._config.token_endpoint)
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": config.client_id}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if config.client_secret_file:
            secret = credentials.read(credentials.find(config.client_secret_file))
            pair = base64.b64encode(f"{config.client_id}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        try:
            return exchange(Trust(), "POST", url, self._timeout, headers=headers, body=urlencode(form)).json
        except Exception as error:
            if isinstance(error, Refused) and error.said.status in (400, 401, 403):
                words = error.said.words
                raise AuthFailed(
                    f"{url} refused the refresh token ({words}): get a new one from the issuer", words=words
                ) from None
            failure = self._failures.classify(error, f"ask {url} for an access token", effect=False)
            if failure is error:
                raise
            raise failure from error

    def _kept(self, given: str) -> str:
        """Return the refresh token that the issuer gave for the one that we were given; empty where it gave none."""
        try:
            kept = json.loads(self._keep.read_bytes())
            return str(kept["token"]) if kept["for"] == _fingerprint(given) else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _store(self, given: str, fresh: str) -> None:
        content = json.dumps({"for": _fingerprint(given), "token": fresh}).encode()
        beside = self._keep.with_name(f".{self._keep.name}.{secrets.token_hex(8)}")
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._keep)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise AuthFailed(
                f"{self._keep}: {error.strerror}: the issuer has changed the refresh token, and the new one cannot be "
                "kept: put a new one in place"
            ) from error


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
