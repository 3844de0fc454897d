"""A certificate authority of the lab: it issues whatever a test wants to see refused, too."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_DAY = timedelta(days=1)


class LabCa:
    """An authority in memory, with a revocation list."""

    def __init__(self, name: str = "lab") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.revoked: set[int] = set()
        subject = _name(name)
        self.certificate = (
            _builder(subject, subject, self.key.public_key(), 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, name: str, public: ec.EllipticCurvePublicKey, usage: ObjectIdentifier, life: timedelta = 30 * _DAY
    ) -> x509.Certificate:
        """Return a certificate that began a day ago and ends *life* from now."""
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _builder(_name(name), self.certificate.subject, public, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(_usage(), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def write_crl(self, path: Path, life: timedelta = 7 * _DAY) -> None:
        """Replace the revocation list."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - _DAY).next_update(now + life)
        for serial in self.revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(one)
        new = path.with_name(f".{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        new.replace(path)

    def sign(self, csr: str, name: str, usage: ObjectIdentifier, life: timedelta) -> str:
        """Answer a request (base64 of DER) as the signer would."""
        request = x509.load_der_x509_csr(base64.b64decode(csr))
        public = request.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        return self.issue(name, public, usage, life).public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as a file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + min(-_DAY, life - _DAY))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, False, False, False, False)
