"""Signatures of version 4, checked as AWS documents it; moto takes any.

Written from AWS's documentation ("Create a signed AWS API request"), not from libcloud, whose signatures it judges.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from tests.lab.aws.answers import refusal

_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_OLDEST = timedelta(minutes=5)
_NEEDED = {"host", "x-amz-date"}


Keys = Mapping[str, tuple[str, str]]


def check(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, keys: Keys) -> None:
    """Raise AWS's refusal of a request that is not signed by one of *keys* (access key to secret and token)."""
    match = _FORM.fullmatch(headers.get("authorization", ""))
    if match is None or match[1] not in keys:
        raise refusal("AuthFailure")
    access, day, region, service, names, signature = match.groups()
    secret, token = keys[access]
    if headers.get("x-amz-security-token", "") != token:
        raise refusal("ExpiredToken" if token else "InvalidClientTokenId")
    signed, date = names.split(";"), headers.get("x-amz-date", "")
    # a token that is sent has to be under the signature
    needed = _NEEDED | ({"x-amz-security-token"} & set(headers))
    if not needed <= set(signed) or not date.startswith(day):
        raise refusal("SignatureDoesNotMatch", words="The signature does not cover what it has to.")
    age = datetime.now(UTC) - datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(age) > _OLDEST:
        raise refusal("RequestExpired")
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), signature):
        raise refusal("SignatureDoesNotMatch")


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
