"""The OpenVPN configuration of a VM with a tunnel to the central points.

Measured with OpenVPN 2.6.14: after SIGUSR1 the client reads its certificate and key again (`persist-key` is off),
stays with the same central point and keeps its interface (`persist-tun`); with `connect-retry 0` 30 ms pass without an
answer, with 1 it is a whole second. (With a broker that is asked first, OpenVPN's own timers make it up to 1.7 s, as
seen by one TCP connection, which holds.)

`auth-retry nointeract` would make that pause two seconds, always; so a client that
is refused ends instead, and the agent starts it again after a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: the interface of the tunnel to the central point; those of shortcuts are ``clues-s`` and a number
INTERFACE = "clues-tun"
CONFIG = "/etc/openvpn/clues/client.conf"
KEY = "/etc/openvpn/clues/tls-crypt-v2.key"

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")

_FIXED = f"""\
client
dev {INTERFACE}
dev-type tun
nobind
persist-tun
ca /etc/clues/tls/ca.pem
cert /etc/clues/tls/cert.pem
key /etc/clues/tls/key.pem
tls-crypt-v2 {KEY}
remote-cert-tls server
verify-x509-name "clues hub" name-prefix
tls-version-min 1.2
data-ciphers AES-128-GCM:AES-256-GCM:CHACHA20-POLY1305
allow-compression no
connect-retry 0 2
server-poll-timeout 2
resolv-retry 2
ping 1
ping-restart 4
explicit-exit-notify 1
route-metric 200
sndbuf 4194304
rcvbuf 4194304
txqueuelen 5000
script-security 0
verb 3
mute 10
"""


@dataclass(frozen=True, slots=True)
class Hub:
    """A central point, as VMs see it: the name or address in the internet, and its UDP port."""

    name: str
    public: str
    port: int


def client_conf(hubs: Sequence[Hub]) -> str:
    """Return the configuration; the central points are tried in this order.

    :raises ValueError: there is none, or one has no host name, or no port.
    """
    if not hubs:
        raise ValueError("there is no central point to connect to")
    for hub in hubs:
        if not _HOST.fullmatch(hub.public) or not 0 < hub.port < 65536:
            raise ValueError(f"central point {hub.name!r}: {hub.public!r} port {hub.port!r} is no place to connect to")
    return _FIXED + "".join(f"remote {hub.public} {hub.port} udp4\n" for hub in hubs)
