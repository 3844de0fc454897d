"""AWS's word about a VM: believed when AWS has signed it, and it names this instance in this region."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from connectors.ec2 import PLUGIN
from connectors.ec2.proof import what_is_wrong

INSTANCE, REGION = "i-0123456789abcdef0", "eu-west-1"


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


AWS, STRANGER = make_key(), make_key()


def certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("aws") / "certificates.pem"
    path.write_bytes(certificate(make_key()) + certificate(AWS))
    return path


def proof(instance: object = INSTANCE, region: str = REGION, key: rsa.RSAPrivateKey = AWS, *, tail: bytes = b"") -> str:
    document = json.dumps({"instanceId": instance, "region": region, "accountId": "1"}, indent=2).encode()
    signature = base64.encodebytes(key.sign(document, padding.PKCS1v15(), hashes.SHA256()))
    return f"{base64.b64encode(document + tail).decode()}.{base64.b64encode(signature).decode()}"


def test_what_aws_has_signed_about_this_instance_is_believed(certificates: Path) -> None:
    assert what_is_wrong(proof(), certificates, INSTANCE, REGION) == ""


#: what was brought, and what is said of it
REFUSED = {
    "nothing": ("", "brought no instance identity document"),
    "no signature": ("e30=", "brought no instance identity document"),
    "no base64": ("e30=.!", "malformed"),
    "no signature in base64": ("e30=.e30=", "malformed"),
    "signed by a stranger": (proof(key=STRANGER), "not signed by AWS"),
    "changed": (proof(tail=b" "), "not signed by AWS"),
    "another instance": (proof("i-0fedcba9876543210"), "that of 'i-0fedcba9876543210' in 'eu-west-1'"),
    "another region": (proof(region="us-east-1"), "in 'us-east-1'"),
    "a list of instances": (proof([INSTANCE]), "that of"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_with_the_reason(certificates: Path, what: str) -> None:
    brought, words = REFUSED[what]
    assert words in what_is_wrong(brought, certificates, INSTANCE, REGION)


def test_without_certificates_that_can_be_read_nobody_is_believed(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "missing.pem", empty):
        assert "cannot be checked" in what_is_wrong(proof(), path, INSTANCE, REGION)


def test_it_is_asked_for_only_where_it_can_be_checked(certificates: Path) -> None:
    without = PLUGIN.Config(region=REGION)
    assert (PLUGIN.proof(without), PLUGIN.doubt(without, INSTANCE, "")) == ("", "")
    checked = PLUGIN.Config(region=REGION, identity_certificates=certificates)
    assert PLUGIN.proof(checked) == "ec2"
    assert PLUGIN.doubt(checked, INSTANCE, proof()) == ""
    assert PLUGIN.doubt(checked, INSTANCE, "")
