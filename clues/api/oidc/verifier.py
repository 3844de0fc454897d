"""One token: is it the issuer's, for us, and good now?

What is taken is pinned by the configuration, never told by the token: the issuer, the algorithms (of signatures whose
keys the issuer alone has), the audience and the scopes. A token says only which of the issuer's keys it is signed with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jws import JWSRegistry

from clues.api.oidc.keys import KeyCache
from clues.config.api_values import Oidc

LONGEST_TOKEN = 16 * 1024


class BadToken(Exception):
    """The token is not good; the text says why, and holds nothing of it that was not checked."""


class ScopeMissing(Exception):
    """The token is good, and not for this; the text says what it lacks."""


class _Registry(JWSRegistry):
    """Header fields that we do not know are ignored, but for those that may not be (``crit``): RFC 7515, 4."""

    max_header_length = 4096
    max_payload_length = LONGEST_TOKEN


class Verifier:
    """Checks tokens of one issuer. Any thread."""

    def __init__(self, oidc: Oidc, keys: KeyCache, now: Callable[[], float]) -> None:
        """:param now: seconds since 1970."""
        self.oidc = oidc
        self._keys, self._now = keys, now
        self._registry = _Registry(algorithms=oidc.algorithms, strict_check_header=False)

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is good.

        :raises BadToken: it is not.
        :raises ScopeMissing: it lacks a scope.
        :raises clues.api.oidc.keys.Unreachable: that cannot be told now.
        """
        if len(token) > LONGEST_TOKEN:
            raise BadToken("the token is too long")
        try:
            return self._checked(token)
        except ExpiredTokenError as error:
            raise BadToken("the token has expired") from error
        except MissingClaimError as error:
            raise BadToken(f"the token has no {error.claim}") from error
        except InvalidClaimError as error:
            raise BadToken(f"the token's {error.claim} is not what is wanted here") from error
        except BadSignatureError as error:
            raise BadToken("the token's signature is not good") from error
        except (JoseError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise BadToken(f"this is no token that is taken here ({type(error).__name__})") from error

    def _checked(self, token: str) -> dict[str, Any]:
        header = jws.extract_compact(token.encode("ascii"), registry=self._registry).headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.oidc.algorithms:
            raise BadToken("the token is signed by an algorithm that is not taken here")
        if kid is not None and not isinstance(kid, str):
            raise BadToken("the token's key id is none")
        key = self._keys.find(kid)
        if key is None:
            raise BadToken("the token is signed with a key that the issuer does not have now")
        if key.alg not in (None, algorithm):
            raise BadToken("the token is signed by another algorithm than its key is for")
        claims = jwt.decode(token, key, algorithms=[algorithm], registry=self._registry).claims
        jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=int(self.oidc.leeway.total_seconds()),
            iss={"essential": True, "value": self.oidc.issuer},
            aud={"essential": True, "values": list(self.oidc.audience)},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        if not claims["sub"] or len(claims["sub"]) > 255:
            raise BadToken("the token's sub is none")
        if lacking := [one for one in self.oidc.scope if one not in values(claims, "scope")]:
            raise ScopeMissing(f"the token lacks the scope {' '.join(lacking)}")
        return claims


def values(claims: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return the values of a claim: a list's texts, or a text's words where it is a scope, else the text."""
    told = claims.get(name)
    if isinstance(told, str):
        return tuple(told.split()) if name in ("scope", "scp") else (told,)
    return tuple(one for one in told if isinstance(one, str)) if isinstance(told, list) else ()
