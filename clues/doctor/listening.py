"""The two ports that VMs reach the front-end at.

The enrolment front (TCP) is spoken to as a VM would. The central points (UDP) answer nobody without a key, so that only
the kernel can say whether they listen.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

from clues.bootstrap.tls import client_context
from clues.bootstrap.trust import TrustStore
from clues.config import Loaded
from clues.errors import Transient
from clues.model import Finding, Soundness

_TIMEOUT = 5.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here

_UDP = (Path("/proc/self/net/udp"), Path("/proc/self/net/udp6"))


def examine_enrolment(loaded: Loaded) -> Iterator[Finding]:
    """Speak to the enrolment front over TLS, trusting the cluster's CA alone, under each name that VMs call it by."""
    listen = loaded.enrolment_listen
    topic = f"port tcp/{listen.port}"
    start = "start clues-enrol: `systemctl start clues-enrol`, then `journalctl -u clues-enrol`"
    try:
        bundle = TrustStore(loaded.places.trust).bundle()
    except Transient as error:
        yield Finding(topic, Soundness.UNKNOWN, f"whom to trust there cannot be told: {error}", "start clues-signer")
        return
    where = (_ANYWHERE.get(listen.host, listen.host), listen.port)
    for name in loaded.enrolment_names:
        try:
            with (
                socket.create_connection(where, _TIMEOUT) as plain,
                client_context(bundle).wrap_socket(plain, server_hostname=name),
            ):
                pass
        except ssl.SSLCertVerificationError as error:
            text = f"what listens there has no certificate of this cluster for {name}: {error.verify_message}"
            yield Finding(
                topic, Soundness.BAD, text, "restart clues-enrol; see which program has that port: `ss -ltnp`"
            )
            return
        except (OSError, ssl.SSLError) as error:
            yield Finding(topic, Soundness.BAD, f"no VM can enrol: {where[0]} answers with {_short(error)}", start)
            return
    names = ", ".join(loaded.enrolment_names)
    yield Finding(topic, Soundness.GOOD, f"the enrolment front answers, with a certificate for {names}")


def examine_udp(points: Iterable[tuple[str, int]], bound: Iterable[Path] = _UDP) -> Iterator[Finding]:
    """Look whether somebody listens at the UDP ports of the central points.

    :param points: their names and ports.
    """
    taken = set().union(*(_ports(path) for path in bound))
    for name, port in points:
        if port in taken:
            yield Finding(f"port udp/{port}", Soundness.GOOD, f"the central point {name} listens")
        else:
            cure = "start it: `systemctl start clues-hub clues-broker`, then `journalctl -u clues-hub`"
            text = f"the central point {name} does not listen: no tunnel can come up"
            yield Finding(f"port udp/{port}", Soundness.BAD, text, cure)


def _ports(path: Path) -> set[int]:
    """Return the local ports of ``/proc/net/udp``; none where it cannot be read."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()[1:]
    except OSError:
        return set()
    locals_ = [words[1] for line in lines if len(words := line.split()) > 1]
    return {int(one.rpartition(":")[2], 16) for one in locals_ if ":" in one}


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
