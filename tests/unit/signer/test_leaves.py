"""Of a request only its key counts; a certificate is good for one thing, for thirty days."""

from __future__ import annotations

import base64
import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from clues.errors import ConfigError, InvalidRequest
from clues.signer.authority import CA_LIFE, Authority
from clues.signer.leaves import BACKDATED, LARGEST_REQUEST, Issuer, Usage, identity_of, issue, parse_request, to_pem
from tests.unit.signer.lab import CLUSTER, NOW, new_key, request_for, verify

GOOD = base64.b64decode(request_for(new_key()))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    folder = tmp_path_factory.mktemp("authority")
    return Authority.open(folder / "signer", folder / "trust", CLUSTER, NOW).issuer(1)


def test_name_and_extensions_of_a_request_are_ignored(issuer: Issuer) -> None:
    leaf = issue(issuer, parse_request(request_for(new_key(), "clues hub hub")), "claim-1", Usage.CLIENT, NOW)
    assert leaf.subject.rfc4514_string() == "CN=claim-1"
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    ("usage", "good_for", "bad_for"),
    [(Usage.CLIENT, "sslclient", "sslserver"), (Usage.SERVER, "sslserver", "sslclient")],
)
def test_a_certificate_is_good_for_one_thing(
    issuer: Issuer, tmp_path: Path, usage: Usage, good_for: str, bad_for: str
) -> None:
    leaf = issue(issuer, new_key().public_key(), "x", usage, NOW)
    wanted = {Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH, Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH}[usage]
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [wanted]
    bundle, at = to_pem(issuer.certificate), ("-attime", str(int(NOW.timestamp())))
    assert verify(tmp_path, to_pem(leaf), bundle, *at, "-purpose", good_for).endswith("OK")
    assert "unsuitable certificate purpose" in verify(tmp_path, to_pem(leaf), bundle, *at, "-purpose", bad_for)


def test_a_certificate_lives_thirty_days_and_begins_a_day_ago(issuer: Issuer) -> None:
    leaf = issue(issuer, new_key().public_key(), "x", Usage.CLIENT, NOW)
    assert leaf.not_valid_before_utc == NOW - BACKDATED
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=30)


def test_a_certificate_never_outlives_its_authority(issuer: Issuer) -> None:
    end = NOW - BACKDATED + CA_LIFE
    leaf = issue(issuer, new_key().public_key(), "x", Usage.CLIENT, end - timedelta(days=2))
    assert leaf.not_valid_after_utc == end
    with pytest.raises(ConfigError, match="rotate"):
        issue(issuer, new_key().public_key(), "x", Usage.CLIENT, end)


def test_a_server_has_its_addresses_and_names(issuer: Issuer) -> None:
    names = ["10.77.0.1", "head.example.org", "fd00::1"]
    leaf = issue(issuer, new_key().public_key(), "x", Usage.SERVER, NOW, names=names)
    shown = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in shown] == names


@pytest.mark.parametrize("names", [["käse"], [""], ["x" * 254], ["a"] * 17])
def test_names_that_are_none_are_refused(issuer: Issuer, names: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        issue(issuer, new_key().public_key(), "x", Usage.SERVER, NOW, names=names)


def test_the_identity_is_that_of_the_key(issuer: Issuer) -> None:
    key = new_key()
    assert identity_of(parse_request(request_for(key))) == identity_of(key.public_key())
    assert identity_of(key.public_key()) != identity_of(new_key().public_key())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p384", "ed25519", "rsa"],
)
def test_keys_of_other_kinds_are_refused(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
) -> None:
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    der = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, digest)
    with pytest.raises(InvalidRequest, match="P-256"):
        parse_request(base64.b64encode(der.public_bytes(serialization.Encoding.DER)).decode())


def test_a_request_for_somebody_elses_key_is_refused() -> None:
    own, other = new_key(), new_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    mine, theirs = (one.public_key().public_bytes(serialization.Encoding.DER, form) for one in (own, other))
    forged = base64.b64decode(request_for(own)).replace(mine, theirs)
    with pytest.raises(InvalidRequest, match="not signed by its own key"):
        parse_request(base64.b64encode(forged).decode())


def test_a_request_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(InvalidRequest, match="longer than"):
        parse_request("A" * (LARGEST_REQUEST * 2))


@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda raw: base64.b64encode(raw).decode()))
def test_anything_else_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_request(text)


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(0, 3))
def test_a_request_with_a_wrong_byte_is_refused_or_the_same(position: int, change: int, cut: int) -> None:
    wrong = bytearray(GOOD)
    wrong[position] ^= change
    with contextlib.suppress(InvalidRequest):
        # DER has a bit or two that mean nothing
        found = parse_request(base64.b64encode(bytes(wrong[: len(wrong) - cut])).decode())
        assert identity_of(found) == identity_of(parse_request(base64.b64encode(GOOD).decode()))
