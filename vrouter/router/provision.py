"""What a VM with a tunnel is given when it enrols. No secret is in it: the tls-crypt-v2 key is put in by the signer."""

from __future__ import annotations

from collections.abc import Sequence

from clues.ports import Provision, Secret
from vrouter.router import client, firewall
from vrouter.router.client import Hub
from vrouter.router.firewall import Service

SETTINGS = "/etc/clues/router.conf"
SECRET = "tls-crypt-v2"  # noqa: S105 - its name, not the secret


def provision(
    *,
    hubs: Sequence[Hub],
    network: str = "",
    lan: str = "",
    front: Sequence[str] = (),
    services: Sequence[Service] = (),
) -> Provision:
    """Return the files of a router, or of a worker that is attached directly.

    :param hubs: the central points, in the order to be tried.
    :param network: the cluster's whole range.
    :param lan: the range behind this router; empty for a worker.
    :param front: addresses and ranges of the front-end; there members reach only *services*.
    :raises ValueError: something is not of its form.
    """
    files = [(client.CONFIG, 0o644, client.client_conf(hubs).encode())]
    if lan:
        rules = firewall.rules(network=network, lan=lan, front=front, services=services)
        files.append((SETTINGS, 0o644, f'LAN="{lan}"\n'.encode()))
        files.append((firewall.RULES, 0o644, rules.encode()))
    return Provision(files=tuple(files), secrets=(Secret(SECRET, client.KEY, 0o600),))
