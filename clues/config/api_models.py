"""``api`` of ``clues.yaml``: who reaches the API from other machines, and how much each caller may ask."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from clues.config.fields import (
    Duration,
    Line,
    Name,
    Names,
    Number,
    Positive,
    SomeTime,
    Words,
    as_list,
    as_name,
    as_path,
    key,
    url_parts,
)
from clues.config.mistakes import show
from clues.config.network_fields import Listen
from clues.config.section import Section

#: Signatures whose keys the issuer alone has. With the others (HS256) whoever can check a token can make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


def _issuer(value: object) -> str:
    text = as_name(value)
    parts = url_parts(text)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f"{show(text)} is not an issuer: write its https:// URL as its tokens have it in `iss`")
    return text


def _algorithm(value: object) -> str:
    text = as_name(value)
    if text not in ALGORITHMS:
        why = "whoever can check such a token can make one" if text.upper().startswith(("HS", "NONE")) else "is unknown"
        raise ValueError(f"{show(text)} is not taken ({why}): one of {', '.join(ALGORITHMS)}")
    return text


def _claim(value: object) -> tuple[str, str]:
    name, equals, wanted = as_name(value).partition("=")
    if not equals or not wanted or not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,100}", name):
        raise ValueError(f"{show(value)} is no claim: write NAME=VALUE, such as wlcg.groups=/clues/admins")
    return name, wanted


def _claims(value: Any) -> Any:
    return as_list(value) if value != [] else ()


def _file(value: object) -> Path:
    return as_path(value)


Issuer = Annotated[str, BeforeValidator(_issuer), Words("URL: `https://iam.example.org/`")]
Algorithm = Annotated[str, BeforeValidator(_algorithm), Words("algorithm of a signature")]
Algorithms = Annotated[tuple[Algorithm, ...], BeforeValidator(as_list), Words("algorithm, or a list of them")]
Claim = Annotated[tuple[str, str], BeforeValidator(_claim), Words("claim: `NAME=VALUE`")]
Claims = Annotated[
    tuple[Claim, ...], BeforeValidator(_claims), Words("claim and value, `NAME=VALUE`, or a list of them")
]
File = Annotated[Path, BeforeValidator(_file), Words("absolute path")]


class RolesSection(Section):
    """Which claims of a token give which role: one of the list is enough. A claim that is a list, or words apart by
    blanks as `scope` is, has a value if it is one of them. A token that gives no role is refused."""

    operator: Claims = key("Who may do and see everything, as members of the daemon's group may at the socket.", ())
    reader: Claims = key(
        "Who may look: they see what Slurm would show to a user whom it does not know (`PrivateData`), or to the one "
        "whom `user_claim` names.",
        (),
    )


class OidcSection(Section):
    """Whose tokens are taken: those of one OpenID provider, made for this cluster."""

    issuer: Issuer = key("The provider, letter by letter as its tokens name it. Its keys are found from there.")
    audience: Names = key("A token has to be made for this, or for one of these (`aud`).")
    scope: Names = key("A token has to have all of these scopes.")
    algorithms: Algorithms = key("The signatures that are taken, no others.", ("RS256", "ES256"))
    jwks_file: File | None = key(
        "The issuer's public keys as a JWKS file, where the front-end cannot reach the issuer. Without it they are "
        "asked for over HTTPS.",
        None,
    )
    ca_file: File | None = key("The CAs of the issuer's certificate, as PEM. Without it: the system's.", None)
    leeway: Duration = key("How far the issuer's clock may be off, at most two minutes.", timedelta(seconds=30))
    refresh: SomeTime = key(
        "A token with a key that is not known makes the keys be asked for again, at most once in so long.",
        timedelta(seconds=60),
    )
    roles: RolesSection = key("Who may do what.", default_factory=RolesSection)
    user_claim: Name | None = key(
        "The claim that holds a user's name on this cluster, such as `preferred_username`: that user's own jobs are "
        "shown where Slurm hides others'. Only where users cannot change it themselves. Without it: nobody's.",
        None,
    )


class ApiSection(Section):
    """The API beyond its sockets, and limits for all who call. Without `listen` it is reached on this machine alone."""

    listen: Listen | None = key(
        "Where the API listens for other machines, such as `0.0.0.0:8444`: only with `oidc`, and where it is not this "
        "machine alone, only with a certificate. Without it: nowhere.",
        None,
    )
    certificate_file: File | None = key(
        "Its certificate and those between it and its CA, as PEM. Read again at each reload.", None
    )
    key_file: Line | None = key("The file, or the systemd credential, of its key; only `cluesd` may read it.", None)
    oidc: OidcSection | None = key("Whose tokens are taken. Without it: nobody's, so nothing listens.", None)
    rate: Positive = key("How many calls a second each caller may make in the long run.", 50.0)
    burst: Number = key("How many calls a caller may make at once beyond that.", 200)
    streams: Number = key("How many streams of changes a caller may have open at once.", 10)
