"""The enrolment front as an agent sees it, small: it tells what a test tells it to, signs, and keeps what it hears."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.vpn_ca import CLIENT, SERVER, LabCa, key_pem


class Front:
    """The enrolment front as the agent sees it: settings by long poll, renewals, reports."""

    def __init__(self, listener: socket.socket, ca: LabCa, folder: Path) -> None:
        address, port = listener.getsockname()
        self.ca, self.life = ca, timedelta(days=30)
        self.bundle = ca.pem
        self.texts: dict[str, bytes] = {}
        self.reports: list[tuple[str, str, str]] = []
        self.renewed: list[str] = []
        self.changed = threading.Condition()
        #: whoever asks for settings is refused
        self.refuses = False
        #: so many reports more are not taken
        self.deaf = 0
        pem = folder / "front.pem"
        pem.write_bytes(server_pem(ca, address))
        (folder / "front-ca.pem").write_bytes(ca.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(folder / "front-ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = ThreadingHTTPServer((address, port), self._handler(), bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self.server.shutdown()
        self.server.server_close()

    def tell(self, key: str, text: bytes) -> None:
        """Set one member's settings."""
        with self.changed:
            self.texts[key] = text
            self.changed.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 60

            def log_message(self, *_: Any) -> None: ...

            def _who(self) -> str:
                assert isinstance(self.connection, ssl.SSLSocket)
                subject = (self.connection.getpeercert() or {}).get("subject", ())
                return str(dict(part[0] for part in subject)["commonName"])  # type: ignore[misc]

            def _answer(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):  # the VM may have died meanwhile
                    self.wfile.write(body)

            def do_GET(self) -> None:
                if front.refuses:
                    return self._answer(b"", 403)
                after = parse_qs(urlsplit(self.path).query).get("after", [""])[0].encode()
                who = self._who()
                with front.changed:
                    front.changed.wait_for(
                        lambda: who in front.texts and b"tag " + after not in front.texts[who].splitlines(), 25
                    )
                    body = front.texts.get(who, b"")
                return self._answer(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/renew":
                    csr = body.decode().strip().removeprefix("csr=")
                    front.renewed.append(self._who())
                    leaf = front.ca.sign(csr, self._who(), CLIENT, front.life).encode()
                    self._answer(leaf + front.bundle)
                elif front.deaf > 0:
                    front.deaf -= 1
                    self._answer(b"", 503)
                else:
                    kind, _, text = body.decode().partition("\n")
                    front.reports.append((self._who(), kind, text))
                    self._answer(b"")

        return Handler


def server_pem(ca: LabCa, address: str) -> bytes:
    """Return a key and a certificate for a server at this address."""
    key = ec.generate_private_key(ec.SECP256R1())
    plain = ca.issue("clues enrolment", key.public_key(), SERVER)
    builder = x509.CertificateBuilder(
        plain.issuer, plain.subject, key.public_key(), plain.serial_number, plain.not_valid_before_utc,
        plain.not_valid_after_utc, list(plain.extensions),
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    certificate = builder.add_extension(names, critical=False).sign(ca.key, hashes.SHA256())
    return key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)
