"""The user-data of one claim: one script for every connector, with four things filled in.

The same claim always yields the same bytes, so a launch may be repeated with its idempotency token.  Nothing
in it is a lasting secret: the certificate is public, and the ticket is spent once the VM has used it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from clues import templates

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----")
_URL = re.compile(r"https://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_NODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.[A-Za-z0-9_-]{20,128}")
_UNQUOTED = ("certificate", "ticket")  # what may be a secret stays out of messages
_PLACE = re.compile(r"@(ca|ticket|urls|node)@")


def render(*, ca_pem: str, ticket: str, urls: Sequence[str], node: str) -> str:
    """Return the script that a VM runs as root at its first boot.

    :param urls: where the enrolment service is, ``https://host:port`` without a path, in the order to be
        tried.
    :raises ValueError: an argument that is not of its form (a private key instead of a certificate, plain
        HTTP, …).
    """
    certificate = ca_pem.strip()
    checks = (
        ("certificate", _CERTIFICATE, [certificate]),
        ("ticket", _TICKET, [ticket]),
        ("enrolment URL", _URL, list(urls)),
        ("node name", _NODE, [node]),
    )
    for what, form, values in checks:
        if not values or not all(form.fullmatch(value) for value in values):
            raise ValueError(f"not a {what}" + ("" if what in _UNQUOTED else f": {values!r}"))
    places = {"ca": certificate, "ticket": ticket, "urls": " ".join(urls), "node": node}
    return _PLACE.sub(lambda match: shlex.quote(places[match[1]]), templates.read("user-data.sh"))
