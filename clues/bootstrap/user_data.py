"""The user-data of one claim: one script for every connector, with a few things filled in.

The same claim always yields the same bytes, so a launch may be repeated with its idempotency token.  Nothing
in it is a lasting secret: the certificates are public, and the ticket is bound to the first key that comes with it.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence
from datetime import timedelta

from clues import templates
from clues.model import Kind

_CERTIFICATE = r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----"
_CERTIFICATES = re.compile(rf"{_CERTIFICATE}(?:\n{_CERTIFICATE})*")
_URL = re.compile(r"https://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_NODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.[A-Za-z0-9_-]{20,128}")
_PROOF = re.compile(r"(ec2)?")
#: comments, empty lines and indentation are for who reads the template: clouds take 16 KiB of user-data at most
_FOR_READERS = re.compile(r"^[ ]*(?:#(?!!).*)?\n|^[ ]+", re.MULTILINE)
_FOR_MATES = re.compile(r"^# for mates:.*?^# for all again$", re.MULTILINE | re.DOTALL)
_UNQUOTED = ("certificate", "ticket")  # what may be a secret stays out of messages
_PLACE = re.compile(r"@(ca|ticket|mates|urls|node|kind|routes|dead_man|proof)@")


def render(
    *,
    ca_pem: str,
    ticket: str = "",
    mates: Sequence[str] = (),
    urls: Sequence[str],
    node: str,
    kind: Kind = Kind.WORKER,
    routes: Sequence[tuple[str, str]] = (),
    dead_man: timedelta = timedelta(hours=1),
    proof: str = "",
) -> str:
    """Return the script that a VM runs as root at its first boot.

    :param ticket: the VM's own; or instead
    :param mates: those of all VMs that are asked for in one call of EC2's, in order. They share the script, and each
        finds its own by its place in the call, which the metadata service tells.
    :param ca_pem: the authorities that it trusts; one, or two while one takes over from the other.
    :param urls: where the enrolment front is, ``https://host:port`` without a path, in the order to be tried.
    :param routes: static routes to be set before anything else, as (range, gateway).
    :param dead_man: a VM whose boot has failed powers itself off so long after it; nothing: it stays.
    :param proof: what it brings of its provider's word about it (``ec2``); empty: nothing.
    :raises ValueError: an argument that is not of its form (a private key instead of a certificate, plain
        HTTP, …).
    """
    certificates = "\n".join(line for line in ca_pem.strip().splitlines() if line)
    checks = (
        ("certificate", _CERTIFICATES, [certificates]),
        ("ticket", _TICKET, list(mates) or [ticket]),
        ("enrolment URL", _URL, list(urls)),
        ("node name", _NODE, [node]),
        ("kind of proof", _PROOF, [proof]),
    )
    for what, form, values in checks:
        if not values or not all(form.fullmatch(value) for value in values):
            raise ValueError(f"not a {what}" + ("" if what in _UNQUOTED else f": {values!r}"))
    places = {
        "ca": certificates,
        "ticket": "" if mates else ticket,
        "mates": " ".join(mates),
        "urls": " ".join(urls),
        "node": node,
        "kind": str(kind),
        "routes": " ".join(word for route in routes for word in _route(*route)),
        "proof": proof,
        "dead_man": str(int(dead_man.total_seconds())),
    }
    script = templates.read("user-data.sh")
    script = _FOR_READERS.sub("", script if mates else _FOR_MATES.sub("", script))
    return _PLACE.sub(lambda match: shlex.quote(places[match[1]]), script)


def _route(network: str, gateway: str) -> tuple[str, str]:
    try:
        return str(ipaddress.ip_network(network)), str(ipaddress.ip_address(gateway))
    except ValueError as error:
        raise ValueError(f"not a route: {network!r} by {gateway!r}") from error
