"""The role of the EC2 instance that the front-end is: its keys come from the metadata service, and change on their own.

Only version 2 of that service is spoken (a token first), as its first version answers anybody who can make this machine
send a GET.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from clues.errors import AuthFailed, Transient
from connectors.ec2.keys import Keys

_USUAL = "http://169.254.169.254"
_ROLES = "/latest/meta-data/iam/security-credentials/"
_TIMEOUT = 2.0


class Role:
    """Asks the metadata service."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._last: Keys | None = None

    def keys(self) -> Keys:
        """Return the keys that the role has now; the last ones, where the service does not answer and they still hold.

        :raises AuthFailed: there is no role.
        :raises Transient: there was one a while ago.
        """
        if self._environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise AuthFailed(
                "no keys for AWS: neither in the site's configuration, nor in the environment, nor a profile"
            )
        try:
            self._last = self._ask()
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            if self._last is None:
                raise AuthFailed(
                    "no keys for AWS: neither in the site's configuration, nor in the environment, nor a profile "
                    "`default`; nor has this machine an instance role",
                    words=f"metadata service: {type(error).__name__}",
                ) from None
            if self._last.until is None or datetime.now(UTC) >= self._last.until:
                raise Transient(f"the metadata service does not answer ({type(error).__name__})") from None
        return self._last

    def _ask(self) -> Keys:
        base = (self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _USUAL).rstrip("/")
        with requests.Session() as session:
            session.trust_env = False  # it is on this machine's own link: no proxy leads there
            lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            token = _read(session, "PUT", f"{base}/latest/api/token", lifetime)
            ticket = {"X-aws-ec2-metadata-token": token}
            role = _read(session, "GET", base + _ROLES, ticket).split()[0:1]
            if not role:
                raise ValueError("the instance has no role")
            told: dict[str, Any] = json.loads(_read(session, "GET", base + _ROLES + role[0], ticket))
        until = datetime.fromisoformat(told["Expiration"])
        return Keys(told["AccessKeyId"], told["SecretAccessKey"], told["Token"], until, renewed=True)


def _read(session: requests.Session, method: str, url: str, headers: dict[str, str]) -> str:
    answer = session.request(method, url, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
    answer.raise_for_status()
    if answer.status_code != 200:
        raise ValueError(f"status {answer.status_code}")
    return answer.text.strip()
