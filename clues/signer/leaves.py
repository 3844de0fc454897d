"""Certificates for a key that somebody else made: what is taken from a request, and what the certificate says.

Of a request only the public key is taken, and the proof that whoever sent it holds the private one. Its name, its
extensions and whatever else it asks for are ignored: who somebody is comes from the ledger, what a certificate is good
for from its kind. A certificate begins a day in the past: a VM whose clock is slow has to get far enough to be told so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clues.errors import ConfigError, InvalidRequest

LEAF_LIFE = timedelta(days=30)
#: certificates begin so long ago
BACKDATED = timedelta(days=1)
#: a request for a P-256 key has some 250 bytes
LARGEST_REQUEST = 2048
_MOST_NAMES = 16


class Usage(Enum):
    """What a certificate is good for: one thing only."""

    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority's key and certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def __repr__(self) -> str:  # the key stays out of every log
        return f"Issuer({self.certificate.subject.rfc4514_string()})"


def parse_request(text: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a certificate request (base64 of DER) whose sender has proved to hold its private part.

    :raises InvalidRequest: it is too long or malformed, its key is not of P-256, or its signature is wrong.
    """
    if len(text) > LARGEST_REQUEST * 4 // 3 + 4:
        raise InvalidRequest(f"the certificate request is longer than {LARGEST_REQUEST} bytes")
    try:
        request = x509.load_der_x509_csr(base64.b64decode(text, validate=True))
        key = request.public_key()
        genuine = request.is_signature_valid
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion):
        # its words may quote the request
        raise InvalidRequest("the certificate request is malformed") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidRequest("the certificate request is not for a P-256 key")
    if not genuine:
        raise InvalidRequest("the certificate request is not signed by its own key")
    return key


def identity_of(key: ec.EllipticCurvePublicKey) -> str:
    """Return SHA-256 (hex) of the public key in DER form: who holds its private part is this VM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def issue(
    issuer: Issuer,
    key: ec.EllipticCurvePublicKey,
    common_name: str,
    usage: Usage,
    now: datetime,
    *,
    names: Sequence[str] = (),
) -> x509.Certificate:
    """Return a certificate of 30 days, less where the authority itself ends before.

    :param names: addresses and host names of a server.
    :raises ConfigError: the authority has ended.
    :raises InvalidRequest: a name is no name.
    """
    end = min(now - BACKDATED + LEAF_LIFE, issuer.certificate.not_valid_after_utc)
    if end <= now:
        raise ConfigError("the cluster's authority has ended: start a new one with `clues vrouter ca rotate`")
    builder = (
        begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), key, now, end)
        .issuer_name(issuer.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(_alternative_names(names), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def begin(subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime) -> x509.CertificateBuilder:
    """Return what every certificate of ours begins with."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    """Return a key usage of these and nothing else."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def to_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    if len(names) > _MOST_NAMES:
        raise InvalidRequest(f"a certificate has {_MOST_NAMES} names at most")
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # not an address, so a host name
    try:
        if not 0 < len(name) <= 253:
            raise ValueError("no host name has this length")
        return x509.DNSName(name)
    except ValueError as error:
        raise InvalidRequest(f"{name[:64]!r} is neither an address nor a host name in ASCII") from error
