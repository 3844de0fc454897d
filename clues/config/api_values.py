"""How the API is reached from other machines, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from clues.config.api_models import ApiSection
from clues.config.network_fields import Endpoint

#: A claim's name, and the value that it has to have.
ClaimValue = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Oidc:
    """Whose tokens are taken, and what they give."""

    issuer: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    #: None: the keys are asked for
    jwks_file: Path | None = None
    #: None: the system's CAs
    ca_file: Path | None = None
    leeway: timedelta = timedelta(seconds=30)
    refresh: timedelta = timedelta(seconds=60)
    operators: tuple[ClaimValue, ...] = ()
    readers: tuple[ClaimValue, ...] = ()
    #: empty: none
    user_claim: str = ""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the API listens for other machines."""

    endpoint: Endpoint
    oidc: Oidc
    #: None: without TLS, on this machine alone
    certificate: Path | None = None
    #: a path, or the name of a credential
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Api:
    """Who may call, and how much."""

    #: None: sockets alone
    listening: Listening | None = None
    rate: float = 50.0
    burst: int = 200
    streams: int = 10


def api_of(given: ApiSection) -> Api:
    """Return a checked section as values."""
    return Api(_listening(given), given.rate, given.burst, given.streams)


def _listening(given: ApiSection) -> Listening | None:
    if given.listen is None or given.oidc is None:
        return None
    told = given.oidc
    oidc = Oidc(
        issuer=told.issuer,
        audience=told.audience,
        scope=told.scope,
        algorithms=told.algorithms,
        jwks_file=told.jwks_file,
        ca_file=told.ca_file,
        leeway=told.leeway,
        refresh=told.refresh,
        operators=told.roles.operator,
        readers=told.roles.reader,
        user_claim=told.user_claim or "",
    )
    return Listening(given.listen, oidc, given.certificate_file, given.key_file or "")
