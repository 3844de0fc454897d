"""Whoever is not in the inventory with the key of its certificate is on the revocation list, which never ends."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from clues import inventory as inventory_file
from clues.errors import ConfigError
from clues.inventory import Inventory, Member, Reader
from clues.model import ClaimState
from clues.signer import public_file
from clues.signer.authority import Authority
from clues.signer.certificates import Certificates
from clues.signer.crl import CRL_RENEWAL
from clues.signer.issued import IssuedList
from clues.signer.revocation import Revocation, look_quietly
from tests.unit.signer.lab import CLUSTER, NOW, inventory, member, new_key, verify


@dataclass
class House:
    """A signer's insides, and a clock that is set by hand."""

    folder: Path
    now: datetime = NOW
    revision: int = 0
    authority: Authority = field(init=False)
    issued: IssuedList = field(init=False)
    certificates: Certificates = field(init=False)
    revocation: Revocation = field(init=False)

    def __post_init__(self) -> None:
        self.authority = Authority.open(self.folder / "signer", self.folder / "trust", CLUSTER, self.now)
        self.issued = IssuedList.open(self.folder / "signer" / "issued.db")
        self.certificates = Certificates(self.authority, self.issued, lambda: self.now)
        self.restart()

    def restart(self) -> None:
        self.revocation = Revocation(self.crl, self.authority, self.issued, Reader(self.folder / "inventory.json"))

    @property
    def crl(self) -> Path:
        return self.folder / "trust" / "crl.pem"

    def publish(self, *members: Member) -> Inventory:
        self.revision += 1
        found = inventory(members, self.revision)
        inventory_file.write(self.folder / "inventory.json", found)
        return found

    def look(self) -> list[set[int]]:
        """Return the serials on each authority's list."""
        self.revocation.look(self.now)
        return [{one.serial_number for one in found} for found in self.lists()]

    def lists(self) -> list[x509.CertificateRevocationList]:
        end = b"-----END X509 CRL-----\n"
        return [x509.load_pem_x509_crl(one + end) for one in self.crl.read_bytes().split(end)[:-1]]


@pytest.fixture
def house(tmp_path: Path) -> Iterable[House]:
    house = House(tmp_path)
    yield house
    house.issued.close()


def serial(pem: str) -> int:
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def leaf(house: House, name: str, key: ec.EllipticCurvePrivateKey) -> str:
    return house.certificates.for_member(name, "worker", key.public_key())


def test_a_member_that_left_is_revoked_and_stays_so(house: House, tmp_path: Path) -> None:
    stays, leaves_ = new_key(), new_key()
    house.publish(member("a", stays), member("b", leaves_))
    good, bad = leaf(house, "a", stays), leaf(house, "b", leaves_)
    assert house.look() == [set()]
    house.publish(member("a", stays))
    assert house.look() == [{serial(bad)}]
    house.publish(member("a", stays), member("b", leaves_))
    assert house.look() == [{serial(bad)}]
    at = ("-attime", str(int(NOW.timestamp())))
    bundle, crl = house.authority.bundle(), house.crl.read_bytes()
    assert verify(tmp_path, good, bundle, *at, crl=crl).endswith("OK")
    assert "certificate revoked" in verify(tmp_path, bad, bundle, *at, crl=crl)


@pytest.mark.parametrize("state", list(ClaimState))
def test_a_member_is_revoked_with_its_state(house: House, state: ClaimState) -> None:
    key = new_key()
    house.publish(member("a", key, state=state))
    issued = serial(leaf(house, "a", key))
    leaving = state in (ClaimState.STOPPING, ClaimState.FAILED, ClaimState.GONE)
    assert house.look() == [{issued} if leaving else set()]


def test_a_certificate_for_another_key_than_the_members_is_revoked(house: House) -> None:
    thief = new_key()
    house.publish(member("a", new_key()))
    assert house.look() == [set()]
    assert house.look() != [{serial(leaf(house, "a", thief))}]
    assert len(house.look()[0]) == 1


def test_a_member_whose_identity_was_lost_is_not_revoked_for_it(house: House) -> None:
    leaf(house, "a", new_key())
    house.publish(member("a", None))
    assert house.look() == [set()]


def test_servers_of_ours_are_in_no_inventory_and_stay(house: House) -> None:
    house.certificates.for_server("clues hub a", "hub", new_key().public_key())
    house.publish()
    assert house.look() == [set()]


@pytest.mark.parametrize("damage", ["missing", "damaged", "of another cluster"])
def test_an_unknown_inventory_revokes_nobody_but_the_list_is_renewed(house: House, damage: str) -> None:
    key, gone = new_key(), new_key()
    house.publish(member("a", key), member("b", gone))
    leaf(house, "a", key)
    revoked = serial(leaf(house, "b", gone))
    house.publish(member("a", key))
    assert house.look() == [{revoked}]
    path = house.folder / "inventory.json"
    if damage == "missing":
        path.unlink()
    elif damage == "damaged":
        path.write_text('{"form":1,"members":[]}')
    else:
        path.write_text(path.read_text().replace(CLUSTER, "d2c0a3f0-0000-4000-8000-000000000001"))
    house.revocation = Revocation(house.crl, house.authority, house.issued, Reader(path, CLUSTER))
    house.now = NOW + CRL_RENEWAL
    assert house.look() == [{revoked}]
    assert house.lists()[0].next_update_utc == house.now + timedelta(days=7)


def test_the_list_is_made_anew_each_day_and_else_left_alone(house: House) -> None:
    house.publish()
    house.look()
    before = house.crl.stat()
    house.now += CRL_RENEWAL - timedelta(seconds=1)
    house.look()
    assert house.crl.stat() == before
    house.now += timedelta(seconds=1)
    house.look()
    assert house.crl.stat() != before
    assert house.revocation.ends == house.now + timedelta(days=7)


def test_a_clock_that_was_set_back_makes_a_new_list(house: House) -> None:
    house.publish()
    house.look()
    house.now -= timedelta(days=300)
    house.look()
    assert house.lists()[0].last_update_utc < house.now


def test_each_authority_has_its_own_list(house: House) -> None:
    first, second = new_key(), new_key()
    house.publish(member("a", first), member("b", second))
    one = serial(leaf(house, "a", first))
    house.look()
    house.authority.add(house.now)
    assert house.look() == [set(), set()]
    house.authority.switch(house.now)
    other = serial(leaf(house, "b", second))
    house.publish()
    assert house.look() == [{other}, {one}]
    house.authority.drop(house.now)
    assert house.look() == [{other}]
    for number, found in zip(house.authority.rotation.trusted, house.lists(), strict=True):
        assert found.is_signature_valid(house.authority.issuer(number).key.public_key())


def test_a_list_that_could_not_be_written_is_written_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    house.publish(member("a", key))
    revoked = serial(leaf(house, "a", key))
    house.look()
    house.publish()

    def full(*_: object) -> None:
        raise ConfigError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(public_file, "replace", full)
        assert not look_quietly(house.revocation, house.now)
    assert house.look() == [{revoked}]


def test_each_list_has_its_own_second(tmp_path: Path) -> None:
    path = tmp_path / "crl.pem"
    seen = []
    for content in (b"1", b"2", b"3"):
        public_file.replace(path, content)
        seen.append(int(path.stat().st_mtime))
    assert seen == sorted(set(seen))
    assert oct(path.stat().st_mode & 0o777) == "0o644"
    assert [one.name for one in path.parent.iterdir()] == ["crl.pem"]
    assert os.access(path, os.R_OK)
