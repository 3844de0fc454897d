"""Whom the connections believe: the site's own CA, or the system's, and never everybody."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import libcloud.security
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.errors import AuthFailed
from connectors.common.drivers import bound
from connectors.openstack.api import _connections
from connectors.openstack.failures import FAILURES
from connectors.openstack.identity import Token
from connectors.openstack.transport import Trust, exchange


class _Hello(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        body = b'{"hello": "world"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that has signed itself; return the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private cloud")])
    begin = datetime.now(UTC) - timedelta(minutes=5)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "cloud.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate that only its own CA vouches for: URL and CA."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not believe us hangs up
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", pem
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_login_believes_the_sites_ca_and_nobody_else(
    cloud: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = cloud
    assert exchange(Trust(str(ca)), "GET", f"{url}/v3", 5).json == {"hello": "world"}
    # a switch of libcloud's for the whole process is no switch for us
    monkeypatch.setattr(libcloud.security, "VERIFY_SSL_CERT", False)
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED") as caught:
        exchange(Trust(), "GET", f"{url}/v3", 5)
    assert type(FAILURES.classify(caught.value, "log in", effect=False)) is AuthFailed


@pytest.mark.parametrize("service", ["compute", "network", "image"])
def test_all_services_are_believed_by_the_sites_ca_and_nobody_else(
    cloud: tuple[str, Path], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = cloud
    monkeypatch.setattr(libcloud.security, "VERIFY_SSL_CERT", False)
    endpoints = dict.fromkeys(("compute", "network", "image"), url)

    def ask(trust: Trust) -> object:
        connection = _connections(Token("t", 1e9, "p", "u", endpoints, trust, None), 5)[service]
        return connection.request("/x").object

    assert ask(Trust(str(ca))) == {"hello": "world"}
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        ask(Trust())


def test_an_endpoint_may_have_a_version_and_a_project_in_it() -> None:
    endpoints = {
        "compute": "http://127.0.0.1:9/compute/v2.1/abc",
        "network": "http://127.0.0.1:9/v2.0/",
        "image": "http://127.0.0.1:9/image/v2",
    }
    connections = _connections(Token("t", 1e9, "abc", "u", endpoints, Trust(), None), 5)
    paths = {}
    for service, connection in connections.items():
        bound(connection, 1)
        paths[service] = connection.morph_action_hook("/servers")
    assert paths == {"compute": "/compute/v2.1/servers", "network": "/servers", "image": "/image/servers"}
