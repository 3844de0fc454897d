"""The central point's OpenVPN configuration as text, from values.

What is not in here is as telling: no ``client-to-client``, so that every packet passes the kernel and its nftables;
no folder of client settings, since the broker answers with them; no scripts. Buffers are large because with the
usual ones UDP loses so many packets that throughput halves.
"""

from __future__ import annotations

from pathlib import Path

from vrouter.hub.settings import HubSettings

#: seconds between keep-alives, and without one after which a client takes the tunnel for dead. Short, so that a router
#: finds a second central point in seconds.
KEEPALIVE = (1, 4)

CIPHERS = "AES-128-GCM:AES-256-GCM:CHACHA20-POLY1305"


def quoted(path: Path | str) -> str:
    """Return a word as OpenVPN reads it between double quotes.

    :raises ValueError: it has a character that cannot be in a line.
    """
    text = str(path)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError(f"{text!r} has a control character")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def render(settings: HubSettings, manager: str) -> str:
    """Return the configuration of one central point.

    :param manager: name of the only user whom OpenVPN shall let speak to its management interface. It makes that
        socket for everybody to connect to, so this is what guards it.
    """
    folder, transit = settings.folder, settings.transit
    interval, silence = KEEPALIVE
    lines = [
        "mode server",
        "tls-server",
        "proto udp4",
        f"port {settings.port}",
        f"dev {settings.interface}",
        "dev-type tun",
        "topology subnet",
        f"ifconfig {settings.address} {transit.netmask}",
        'push "topology subnet"',
        f'push "route-gateway {settings.address}"',
        f"keepalive {interval} {silence}",
        "persist-tun",
        f"ca {quoted(folder / 'ca.pem')}",
        f"cert {quoted(settings.certificate)}",
        f"key {quoted(folder / 'key.pem')}",
        f"tls-crypt-v2 {quoted(folder / 'tls-crypt-v2.key')} force-cookie",
        "dh none",
        "tls-version-min 1.2",
        "verify-client-cert require",
        "remote-cert-tls client",
        f"crl-verify {quoted(settings.places.crl)}",
        f"data-ciphers {CIPHERS}",
        "allow-compression no",
        f"reneg-sec {settings.renegotiate}",
        f"management {quoted(settings.management)} unix",
        f"management-client-user {quoted(manager)}",
        "management-client-auth",
        "management-hold",
        "auth-user-pass-optional",
        "script-security 0",
        "sndbuf 4194304",
        "rcvbuf 4194304",
        "txqueuelen 5000",
        "fast-io",
        # Strangers get no answer anyway (tls-crypt-v2), and the usual 100 in 10 s would hold up 200 honest routers.
        "connect-freq-initial 1000 1",
        "max-clients 4096",
        "explicit-exit-notify 1",
        "verb 3",
    ]
    return "\n".join(lines) + "\n"
