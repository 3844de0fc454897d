"""OpenVPN goes by what the signer gives: certificates, keys for the handshake, revocation lists of both authorities."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from clues.errors import InvalidRequest
from clues.model import Kind
from clues.model.authority import CaStatus, CaStep
from tests.contract.signer_house import (
    TUNNEL,
    House,
    open_house,
    revoked,
    until,
)
from tests.unit.signer.lab import member, new_key, request_for


@dataclass
class Tunnel:
    """One OpenVPN server and one client at a time on this machine's loopback; no device, only the handshake."""

    folder: Path
    house: House
    server: subprocess.Popen[bytes] | None = None
    port: int = 0

    def serve(self) -> None:
        key = new_key()
        given = self.house.ask("hub", csr=request_for(key), name="hub")
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        self._write(
            "hub", given["certificate"].encode(), given["ca"].encode(), pem, base64.b64decode(given["tls_crypt_v2"])
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        more = ["--crl-verify", str(self.house.places.crl), "--tls-server", "--dh", "none", "--ping-exit", "60"]
        self.server = self._run("hub", [*more, "--local", "127.0.0.1", "--port", str(self.port)])
        until(lambda: "UDPv4 link local" in self._log("hub"))

    def connect(self, files: Mapping[str, bytes]) -> str:
        """Return what the server says of a client once it has decided."""
        assert self.server is not None
        key = files["/etc/openvpn/clues/tls-crypt-v2.key"]
        self._write("client", files["/etc/clues/tls/cert.pem"], files["/etc/clues/tls/ca.pem"], files["key"], key)
        before = len(self._log("hub"))
        more = ["--tls-client", "--remote", "127.0.0.1", str(self.port), "--nobind", "--remote-cert-tls", "server"]
        client = self._run("client", [*more, "--verify-x509-name", "clues hub", "name-prefix"])
        decided = ("Peer Connection Initiated", "VERIFY ERROR", "TLS Error")
        until(lambda: any(word in self._log("hub")[before:] for word in decided))
        client.terminate()
        client.wait(10)
        return self._log("hub")[before:]

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait(10)
            self.server = None

    def _write(self, name: str, *contents: bytes) -> None:
        for suffix, content in zip(("crt", "ca", "key", "tc"), contents, strict=True):
            path = self.folder / f"{name}.{suffix}"
            path.write_bytes(content)
            path.chmod(0o600)

    def _run(self, name: str, more: list[str]) -> subprocess.Popen[bytes]:
        base = self.folder / name
        files = [("--cert", "crt"), ("--ca", "ca"), ("--key", "key"), ("--tls-crypt-v2", "tc")]
        argv = ["openvpn", "--dev", "null", "--proto", "udp", "--verb", "4", "--data-ciphers", "AES-128-GCM"]
        for option, suffix in files:
            argv += [option, f"{base}.{suffix}"]
        with base.with_suffix(".log").open("wb") as log:
            return subprocess.Popen([*argv, *more], stdout=log, stderr=log)

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as house:
        yield house


@pytest.fixture
def tunnel(house: House, tmp_path: Path) -> Iterator[Tunnel]:
    folder = tmp_path / "vpn"
    folder.mkdir()
    tunnel = Tunnel(folder, house)
    yield tunnel
    tunnel.stop()


def test_openvpn_lets_a_member_in_and_a_revoked_one_not(house: House, tunnel: Tunnel) -> None:
    house.up()
    files = house.join("router-1", Kind.ROUTER, TUNNEL)
    tunnel.serve()
    assert "Peer Connection Initiated" in tunnel.connect(files)
    house.publish()
    until(lambda: len(revoked(house)) == 1)
    tunnel.stop()  # without a device it is a point-to-point server, which reads the list for its next peer in advance
    tunnel.serve()
    assert "certificate revoked" in tunnel.connect(files)


def test_openvpn_goes_by_both_authorities_and_both_lists_during_a_rotation(house: House, tunnel: Tunnel) -> None:
    house.up()
    old_good, old_bad, new_good, new_bad = (new_key() for _ in range(4))
    holders = {"old-good": old_good, "old-bad": old_bad, "new-good": new_good, "new-bad": new_bad}

    def enrol(name: str) -> dict[str, bytes]:
        house.expect(name, Kind.ROUTER, TUNNEL)
        form = serialization.PrivateFormat.PKCS8
        pem = holders[name].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return house.enrol(holders[name]) | {"key": pem}

    def publish(*names: str) -> None:
        house.publish(*(member(name, holders[name], kind=Kind.ROUTER) for name in names))

    publish(*holders)
    files = {name: enrol(name) for name in ("old-good", "old-bad")}
    assert "switch" in CaStep.from_answer(house.ask("rotate", step="next")).next
    with pytest.raises(InvalidRequest, match="wait 10 s"):
        house.ask("rotate", step="next")
    house.stop()
    state = house.places.signer / "authority.json"
    document = json.loads(state.read_text())
    document["changed_at"] = (datetime.fromisoformat(document["changed_at"]) - timedelta(minutes=1)).isoformat()
    state.write_text(json.dumps(document))
    house.up()
    files = {name: enrol(name) for name in files}  # now with both authorities
    assert house.ask("rotate", step="switch")["done"].startswith("switched")
    files |= {name: enrol(name) for name in ("new-good", "new-bad")}
    publish("old-good", "new-good")
    until(lambda: len(revoked(house)) == 2)
    assert house.places.crl.read_bytes().count(b"BEGIN X509 CRL") == 2
    for name, given in files.items():
        tunnel.serve()
        words = tunnel.connect(given)
        assert ("Peer Connection Initiated" in words) == name.endswith("good"), f"{name}: {words}"
        assert ("certificate revoked" in words) == name.endswith("bad"), f"{name}: {words}"
        tunnel.stop()
    status = CaStatus.from_answer(house.ask("status"))
    assert [(one.name, one.signs) for one in status.generations] == [("2", True), ("1", False)]
    assert status.revoked == 2
    assert status.next.startswith("drop")
