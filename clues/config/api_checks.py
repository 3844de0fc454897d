"""What has to hold for the API to listen: nobody unknown is let in, and nothing is readable on its way."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

from clues.config.api_models import ApiSection
from clues.config.mistakes import Mistakes
from clues.config.sections import has

_MOST_LEEWAY = timedelta(minutes=2)


def check_api(api: ApiSection, mistakes: Mistakes) -> None:
    """Note what would let strangers in, or leave everybody out."""
    if not has(api, "listen", "certificate_file", "key_file", "oidc"):
        return
    oidc = api.oidc
    if oidc is not None and has(oidc, "leeway", "roles"):
        place = ("api", "oidc")
        if oidc.leeway > _MOST_LEEWAY:
            mistakes.add((*place, "leeway"), "is longer than two minutes: set the clocks right with NTP")
        nobody = has(oidc.roles, "operator", "reader") and not (oidc.roles.operator or oidc.roles.reader)
        if nobody and not mistakes.has_told((*place, "roles")):
            missing = "'roles' is missing: without one nobody may do anything: roles: {reader: scope=clues.read}"
            mistakes.add(place, missing)
    if (api.certificate_file is None) != (api.key_file is None):
        missing = "key_file" if api.key_file is None else "certificate_file"
        mistakes.add(("api",), f"'{missing}' is missing: a certificate and its key belong together")
        return
    if api.listen is None:
        return
    if oidc is None and not mistakes.has_told(("api", "oidc")):
        mistakes.add(
            ("api", "listen"),
            "needs 'oidc', so that it is known who calls: add it, or remove 'listen' and use the sockets",
        )
    if api.certificate_file is None and not _is_here(api.listen.host):
        mistakes.add(
            ("api", "listen"),
            f"{api.listen.host} is reached by other machines, and without TLS tokens could be read on their way: add "
            "certificate_file and key_file, or listen on 127.0.0.1 behind a proxy",
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name means what the resolver says, which may change
