"""One launch key, one key of a VM; who asks again is answered; a rotation locks nobody out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from clues.errors import AuthFailed, InvalidRequest, Transient
from clues.signer.authority import LEAD
from clues.signer.issued import IssuedList
from tests.unit.signer.lab import NOW, inventory, member, new_key, verify
from tests.unit.signer.test_revocation import House

AT = ("-attime", str(int(NOW.timestamp())))


@pytest.fixture
def house(tmp_path: Path) -> Iterable[House]:
    house = House(tmp_path)
    yield house
    house.issued.close()


def leaf(house: House, name: str, key: ec.EllipticCurvePrivateKey) -> str:
    return house.certificates.for_member(name, "worker", key.public_key())


def signer_of(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).issuer.rfc4514_string()[-1]


def test_who_asks_again_soon_gets_the_same_certificate(house: House) -> None:
    key = new_key()
    house.now += timedelta(seconds=1)
    first = leaf(house, "a", key)
    house.now += timedelta(minutes=59)
    assert leaf(house, "a", key) == first
    house.now += timedelta(minutes=2)
    assert leaf(house, "a", key) != first
    assert len(house.issued.unexpired(house.now)) == 2


def test_a_second_key_for_the_same_claim_is_refused(house: House) -> None:
    key = new_key()
    leaf(house, "a", key)
    with pytest.raises(AuthFailed, match="another key"):
        leaf(house, "a", new_key())
    leaf(house, "b", new_key())
    assert leaf(house, "a", key)


def test_what_cannot_be_written_down_is_not_handed_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Transient("the disk is full")

    monkeypatch.setattr(IssuedList, "record", full)
    with pytest.raises(Transient):
        leaf(house, "a", new_key())
    with pytest.raises(Transient):
        house.certificates.for_server("clues hub a", "hub", new_key().public_key())


def test_a_rotation_goes_on_once_everybody_has_followed(house: House, tmp_path: Path) -> None:
    key, router = new_key(), new_key()
    members = inventory([member("a", key), member("r", router)])
    rotate = house.certificates.rotate
    old, hub = leaf(house, "a", key), new_key().public_key()
    house.certificates.for_server("clues hub one", "hub", hub)
    house.certificates.for_server("clues enrolment", "front", new_key().public_key())

    house.now += timedelta(minutes=1)
    assert "added" in rotate("next", members)
    house.now += timedelta(seconds=1)
    assert signer_of(leaf(house, "a", key)) == "1"
    with pytest.raises(InvalidRequest, match="wait 10 s"):
        rotate("next", members)
    house.now += timedelta(seconds=20)
    with pytest.raises(InvalidRequest, match=r"1 holder \(clues hub one\) has not learnt"):
        rotate("next", members)
    house.certificates.for_server("clues hub one", "hub", hub)

    assert "switched" in rotate("switch", members)
    with pytest.raises(InvalidRequest, match=r"3 holders \(a, clues enrolment, clues hub one\) have a certificate of"):
        rotate("drop", members)
    new = leaf(house, "a", key)
    assert signer_of(new) == "2"
    for one in (old, new):  # both are trusted meanwhile
        assert verify(tmp_path, one, house.authority.bundle(), *AT).endswith("OK")
    house.certificates.for_server("clues hub one", "hub", hub)
    house.certificates.for_server("clues enrolment", "front", new_key().public_key())

    assert "dropped" in rotate("next", members)
    assert "unable to get local issuer" in verify(tmp_path, old, house.authority.bundle(), *AT)
    assert verify(tmp_path, new, house.authority.bundle(), *AT).endswith("OK")
    assert house.certificates.what_next(members).startswith("add:")


def test_a_vm_that_boots_with_the_old_authority_alone_is_waited_for(house: House) -> None:
    key = new_key()
    unknown = member("unknown", None)
    early = replace(unknown, key="early", created_at=(NOW - timedelta(minutes=1)).isoformat())
    between = replace(unknown, key="between", created_at=(NOW + LEAD / 2).isoformat())
    late = replace(unknown, key="late", created_at=(NOW + LEAD).isoformat())
    house.certificates.rotate("next", inventory([early]))
    house.now += timedelta(seconds=20)
    with pytest.raises(InvalidRequest, match="3 VMs are booting"):
        house.certificates.rotate("next", inventory([unknown, early, between, late]))
    with pytest.raises(InvalidRequest, match="1 VM is booting"):
        house.certificates.rotate("next", inventory([early, late]))
    leaf(house, "early", key)
    assert "switched" in house.certificates.rotate("next", inventory([member("early", key), late]))


def test_who_has_left_is_not_waited_for(house: House) -> None:
    leaf(house, "gone", new_key())
    house.certificates.rotate("next", inventory([]))
    house.now += timedelta(seconds=20)
    assert "switched" in house.certificates.rotate("next", inventory([]))
    assert "dropped" in house.certificates.rotate("next", inventory([]))


def test_with_the_inventory_unknown_nothing_is_switched_or_dropped(house: House) -> None:
    house.certificates.rotate("next", None)
    house.now += timedelta(seconds=20)
    with pytest.raises(InvalidRequest, match="cluesd"):
        house.certificates.rotate("next", None)


@pytest.mark.parametrize(("step", "words"), [("drop", "is not next"), ("switch", "is not next"), ("", "no step")])
def test_a_step_out_of_turn_is_refused(house: House, step: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        house.certificates.rotate(step, inventory([]))
    assert house.authority.rotation.trusted == (1,)
