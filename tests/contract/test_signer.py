"""The real signer in a process of its own, asked over its socket; openssl judges what it gives."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from clues.errors import AuthFailed, InvalidRequest, Transient
from clues.model import Kind
from clues.ports import Secret
from clues.signer.leaves import identity_of
from tests.contract.signer_house import (
    DYING,
    MUNGE,
    SECRETS,
    STRANGER,
    TICKET,
    TUNNEL,
    House,
    open_house,
    revoked,
    serial,
    until,
)
from tests.unit.signer.lab import CLUSTER, member, new_key, request_for, verify


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as house:
        yield house


def test_a_worker_gets_its_certificate_and_the_munge_key(house: House, tmp_path: Path) -> None:
    house.up()
    files = house.join("claim-1")
    assert files["/etc/munge/munge.key"] == MUNGE
    assert files["/etc/clues/agent"] == b"#!/bin/sh\n"
    leaf, bundle = files["/etc/clues/tls/cert.pem"].decode(), files["/etc/clues/tls/ca.pem"].decode()
    assert bundle == (house.places.trust / "ca.pem").read_text()
    assert verify(tmp_path, leaf, bundle, "-purpose", "sslclient", crl=house.places.crl.read_bytes()).endswith("OK")
    assert "unsuitable" in verify(tmp_path, leaf, bundle, "-purpose", "sslserver")
    assert x509.load_pem_x509_certificate(leaf.encode()).subject.rfc4514_string() == "CN=claim-1"
    asked = house.heard[-1]
    assert asked["ticket"] == TICKET
    assert asked["identity"] == identity_of(x509.load_pem_x509_certificate(leaf.encode()).public_key())  # type: ignore[arg-type]


def test_nothing_secret_is_logged(house: House) -> None:
    house.up()
    key = new_key()
    house.join("claim-1")
    house.refuses = AuthFailed(f"unknown ticket {TICKET}")
    with pytest.raises(AuthFailed):
        house.enrol(key)
    house.stop()
    for secret in (TICKET, "the-secret-part", "munge key", request_for(key)[:40], "PRIVATE"):
        assert secret not in house.log


def test_what_is_secret_on_the_disk_is_the_signers_alone(house: House) -> None:
    house.up()
    house.join("router-1", Kind.ROUTER, TUNNEL)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in house.places.signer.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"ca-1.key", "issued.db", "tls-crypt-v2-server.key"} <= set(modes)
    assert stat.S_IMODE(house.places.signer.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in house.places.trust.iterdir()} == {0o644}
    assert not any("PRIVATE" in one.read_text() for one in house.places.trust.iterdir())


def test_a_folder_that_others_could_read_is_refused(house: House) -> None:
    house.places.signer.mkdir(mode=0o755)
    house.start()
    assert house.process is not None
    assert house.process.wait(20) == 1
    assert "chmod 0700" in house.log


def test_a_router_never_gets_the_munge_key_whatever_cluesd_says(house: House) -> None:
    house.up()
    with pytest.raises(AuthFailed, match="router may not have"):
        house.join("router-1", Kind.ROUTER, SECRETS)
    with pytest.raises(AuthFailed, match="may not have"):
        house.join("claim-2", Kind.WORKER, (Secret("tls-crypt-v2-server", "/etc/x", 0o600),))


def test_a_retry_is_answered_again_and_another_key_is_not(house: House) -> None:
    house.up()
    key, thief = new_key(), new_key()
    house.publish(member("claim-1", key))
    house.expect("claim-1")
    assert house.enrol(key)["/etc/munge/munge.key"] == house.enrol(key)["/etc/munge/munge.key"]
    house.publish(member("claim-1", thief))  # a cluesd that has been fooled
    with pytest.raises(AuthFailed, match="another key"):
        house.enrol(thief)


def test_a_vm_that_is_not_in_the_inventory_yet_asks_again(house: House) -> None:
    house.up()
    key = new_key()
    house.expect("claim-1")
    house.publish(member("claim-1", new_key()))
    with pytest.raises(Transient, match="not in the inventory"):
        house.enrol(key)
    house.publish(member("claim-1", key, kind=Kind.ROUTER))
    with pytest.raises(Transient, match="not in the inventory"):
        house.enrol(key)


def test_renewing_needs_no_cluesd_but_the_members_own_key(house: House, tmp_path: Path) -> None:
    house.up()
    key = new_key()
    house.publish(member("claim-1", key))
    assert house.desk is not None
    house.desk.stop()
    answer = house.ask("renew", csr=request_for(key))
    assert verify(tmp_path, answer["certificate"], answer["ca"], "-purpose", "sslclient").endswith("OK")
    with pytest.raises(AuthFailed, match="no member"):
        house.ask("renew", csr=request_for(new_key()))
    with pytest.raises(Transient):
        house.enrol(key)


def test_a_member_that_was_taken_up_again_without_the_ledger_renews_with_the_key_that_the_signer_knows(
    house: House,
) -> None:
    house.up()
    key = new_key()
    house.publish(member("claim-1", key))
    house.ask("renew", csr=request_for(key))
    house.publish(member("claim-1", None))
    assert house.ask("renew", csr=request_for(key))["certificate"]
    with pytest.raises(AuthFailed):
        house.ask("renew", csr=request_for(new_key()))
    house.publish(member("claim-2", None))
    with pytest.raises(AuthFailed):
        house.ask("renew", csr=request_for(key))


def test_a_member_that_leaves_is_revoked_within_a_second_and_cannot_renew(house: House, tmp_path: Path) -> None:
    house.up()
    key = new_key()
    house.publish(member("claim-1", key))
    leaf = house.ask("renew", csr=request_for(key))["certificate"]
    house.publish()
    began = time.monotonic()
    until(lambda: serial(leaf) in revoked(house))
    assert time.monotonic() - began < 1
    bundle = (house.places.trust / "ca.pem").read_text()
    assert "certificate revoked" in verify(tmp_path, leaf, bundle, crl=house.places.crl.read_bytes())
    with pytest.raises(AuthFailed):
        house.ask("renew", csr=request_for(key))


def test_a_certificate_that_was_written_down_in_a_crash_can_be_revoked(house: House) -> None:
    house.up("-c", DYING)
    key = new_key()
    house.publish(member("claim-1", key))
    house.expect("claim-1")
    with pytest.raises(Transient):
        house.enrol(key)
    assert house.stop() == -signal.SIGKILL
    house.up()
    house.publish()
    until(lambda: len(revoked(house)) == 1)


def test_the_servers_get_certificates_for_servers_alone(house: House, tmp_path: Path) -> None:
    house.up()
    front = house.ask("front", csr=request_for(new_key()), names=["10.77.0.1", "head.example.org"])
    hub = house.ask("hub", csr=request_for(new_key()), name="hub")
    for one, name in ((front, "clues enrolment"), (hub, "clues hub hub")):
        assert verify(tmp_path, one["certificate"], one["ca"], "-purpose", "sslserver").endswith("OK")
        assert "unsuitable" in verify(tmp_path, one["certificate"], one["ca"], "-purpose", "sslclient")
        subject = x509.load_pem_x509_certificate(one["certificate"].encode()).subject
        assert subject.rfc4514_string() == f"CN={name}"
    assert verify(tmp_path, front["certificate"], front["ca"], "-verify_hostname", "head.example.org").endswith("OK")
    assert b"tls-crypt-v2 server key" in base64.b64decode(hub["tls_crypt_v2"])
    assert house.ask("hub", csr=request_for(new_key()), name="b")["tls_crypt_v2"] == hub["tls_crypt_v2"]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("hub", {"csr": "good", "name": "../x"}),
        ("front", {"csr": "good", "names": []}),
        ("front", {"csr": "good", "names": "abc"}),
        ("front", {"csr": "good", "names": [7]}),
        ("renew", {"csr": 7}),
        ("renew", {}),
        ("renew", {"csr": "AAAA"}),
        ("enrol", {"csr": "good", "ticket": [], "fingerprint": "", "address": "", "facts": {}}),
        ("enrol", {"csr": "good", "ticket": "t", "fingerprint": "ab:cd", "address": "", "facts": {}}),
        ("rotate", {"step": "back"}),
        ("open", {}),
    ],
)
def test_nonsense_is_refused_in_plain_words(house: House, operation: str, arguments: dict[str, Any]) -> None:
    house.up()
    if arguments.get("csr") == "good":
        arguments = arguments | {"csr": request_for(new_key())}
    with pytest.raises(InvalidRequest):
        house.ask(operation, **arguments)
    assert house.ask("status")


@pytest.mark.parametrize("answer", [None, 7, {}, {"key": "../x", "kind": "worker"}, {"key": "a", "kind": "hub"}])
def test_a_cluesd_that_talks_nonsense_gets_nobody_in(house: House, answer: Any) -> None:
    house.up()
    house.answer = answer
    with pytest.raises(Transient, match="not known here"):
        house.enrol(new_key())


def test_other_users_may_not_ask(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101 S103 - others have to get as far as the socket
        path = Path(folder) / "socket"
        text = (house.root / "clues.yaml").read_text().replace(f"{house.root}/clues.sock", f"{path}.sock")
        (house.root / "clues.yaml").write_text(text)
        house.socket = path.with_suffix(".sock")
        house.up()
        house.places.signer_socket.chmod(0o666)
        argv = ["/usr/bin/python3", "-c", STRANGER, str(house.places.signer_socket)]
        try:
            done = subprocess.run(argv, user=65534, group=65534, extra_groups=(), capture_output=True, check=True)
        except PermissionError:
            pytest.skip("this namespace has one user only")
        assert b"user id 65534 may not call here" in done.stdout


def test_it_waits_for_the_cluster_to_have_a_name(house: House) -> None:
    (house.places.state / "cluster-id").unlink()
    house.start()
    until(lambda: "waiting for cluesd" in house.log)
    assert not house.places.signer.exists()
    (house.places.state / "cluster-id").write_text(f"{CLUSTER}\n")
    until(house.answers)
    assert house.stop() == 0
    assert not house.places.signer_socket.exists()
