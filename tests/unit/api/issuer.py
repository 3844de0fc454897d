"""An OpenID provider on loopback: discovery and keys over real HTTPS, and tokens as it, or an attacker, signs them."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

#: Making one takes a while, and every test may have the same.
RSA = RSAKey.generate_key(2048, {"use": "sig"}, private=True)
EC = ECKey.generate_key("P-256", {"use": "sig"}, private=True)


def make_certificate(folder: Path, name: str = "tls") -> tuple[Path, Path]:
    """Write a certificate for this machine, its own CA, and its key; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[1].chmod(0o600)
    return files


@dataclass
class Issuer:
    """A provider that does as tests tell it."""

    url: str = ""
    ca: Path = Path()
    #: what it publishes, by key id
    keys: dict[str, Any] = field(default_factory=lambda: {"rsa": RSA, "ec": EC})
    #: what it was asked for
    asked: list[str] = field(default_factory=list)
    #: answered instead of what is asked for
    instead: tuple[int, bytes] | None = None
    #: what its discovery document tells otherwise
    document: dict[str, Any] = field(default_factory=dict)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        self.asked.append(path)
        if self.instead is not None:
            return self.instead
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.document}).encode()
        keys = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]
        return 200, json.dumps({"keys": keys}).encode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return claims that are good, but for *changes*; None takes one away."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "sub": "73f16d93",
            "aud": "clues",
            "exp": now + 600,
            "iat": now,
            "nbf": now,
            "scope": "openid clues",
            "wlcg.groups": ["/clues", "/clues/admins"],
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, *, alg: str = "RS256", kid: str | None = "rsa", key: Any = RSA, **changes: Any) -> str:
        """Return a token as the provider signs it, but for *changes*."""
        header = {"alg": alg, "typ": "JWT"} | ({"kid": kid} if kid is not None else {})
        return jwt.encode(header, self.claims(**changes), key, algorithms=[alg])


@contextmanager
def serve_issuer(folder: Path) -> Iterator[Issuer]:
    """Serve a provider over TLS on loopback."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", "/jwks")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    certificate, key = make_certificate(folder, "issuer")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer.url, issuer.ca = f"https://127.0.0.1:{server.server_port}", certificate
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
