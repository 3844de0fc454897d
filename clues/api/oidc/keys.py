"""The issuer's keys, kept for an hour: asked for again when a token has one that is not known, but not for each such.

Whoever sends tokens with made-up key ids must not make us ask the issuer without end, nor take all threads while it is
silent; and an issuer that rotates its keys must not lock everybody out for an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import BoundedSemaphore, Lock
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

#: Keys that the issuer has withdrawn are believed for so long.
KEPT_SECONDS = 3600.0
#: An issuer that did not answer is asked again after so long.
RETRY_SECONDS = 5.0
_LEAST_RSA_BITS = 2048
#: So many wait for the issuer's answer; the others are told to come again.
_MOST_WAITING = 4

Key = RSAKey | ECKey | OKPKey


class Unreachable(Exception):
    """The issuer's keys cannot be had, so nothing can be said of a token; the text says why."""


class KeyCache:
    """What the issuer signs with. Any thread."""

    def __init__(self, fetch: Callable[[], Sequence[Any]], now: Callable[[], float], refresh: float) -> None:
        """:param fetch: returns the keys as they stand in a JWKS; raises :class:`Unreachable`.
        :param now: monotonic seconds.
        :param refresh: so many seconds at least lie between two calls of *fetch* for keys that are not known.
        """
        self._fetch, self._now, self._refresh = fetch, now, refresh
        self._keys: tuple[Key, ...] = ()
        self._fetched_at = self._tried_at = -float("inf")
        self._failure = ""
        self._lock, self._places = Lock(), BoundedSemaphore(_MOST_WAITING)

    def find(self, kid: str | None) -> Key | None:
        """Return the key of this id; None if the issuer has none. A token without an id is signed with the only key.

        :raises Unreachable: that cannot be told now.
        """
        if self._fresh() and (found := self._known(kid)) is not None:
            return found
        if not self._places.acquire(blocking=False):
            raise Unreachable("the issuer is being asked for its keys")
        try:
            with self._lock:
                if self._fresh() and (found := self._known(kid)) is not None:
                    return found  # another call has fetched it meanwhile
                self._fetch_again()
                return self._known(kid)
        finally:
            self._places.release()

    def _fresh(self) -> bool:
        return self._now() - self._fetched_at < KEPT_SECONDS

    def _fetch_again(self) -> None:
        now = self._now()
        pause = min(RETRY_SECONDS, self._refresh) if self._failure else self._refresh
        if now - self._tried_at < pause:
            if self._failure:
                raise Unreachable(self._failure)
            if self._fresh():
                return
        self._tried_at = now
        try:
            self._keys = keys_of(self._fetch())
        except Unreachable as error:
            self._failure = str(error)
            raise
        self._fetched_at, self._failure = now, ""

    def _known(self, kid: str | None) -> Key | None:
        keys = self._keys
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.kid == kid), None)


def keys_of(told: Sequence[Any]) -> tuple[Key, ...]:
    """Return the public keys among those of a JWKS that may sign; what is not understood is left out (RFC 7517, 5).

    :raises Unreachable: there is none.
    """
    found = []
    for one in told:
        if not isinstance(one, Mapping) or one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(dict(one))
        except (JoseError, ValueError, TypeError):
            continue
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            continue
        if isinstance(key, RSAKey | ECKey | OKPKey):
            found.append(key)
    if not found:
        raise Unreachable("the issuer tells no key that could sign a token")
    return tuple(found)
