"""The cluster's certificate authority, and the certificate that the enrolment service shows.

A worker knows nobody when it boots.  Its user-data names one thing to trust: this authority's certificate.
So the certificate never changes (a VM launched yesterday, or launched again with the same bytes, has to find
it valid today), and nobody else's authority is trusted for this cluster.

Leaves are short-lived and made anew here long before they end; nobody outside has to be told.  A leaf begins
a day in the past: a VM whose clock is slow has to get far enough to be told so.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clues.bootstrap import secret_file
from clues.errors import ConfigError

CA_LIFE = timedelta(days=3652)
LEAF_LIFE = timedelta(days=30)
#: a leaf is made anew after this share of its life
LEAF_RENEWAL = 0.6
#: certificates begin so long ago
BACKDATED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CaFiles:
    """One cluster's authority in its state folder: ``ca.key``, which only we may read, and ``ca.pem``."""

    folder: Path
    #: the certificate, as it goes into user-data
    ca_pem: str

    @classmethod
    def open(cls, folder: Path, cluster: str, now: datetime) -> CaFiles:
        """Return the authority in *folder*; made at the first start, for the cluster's UUID *cluster*.

        :raises ConfigError: a file can be read by others, is damaged, does not fit the other, or has ended.
        """
        key = _load_key(folder)
        found = secret_file.read(folder / "ca.pem", public=True)
        if found is None:
            # Also after a crash between the two: nobody can have been given a certificate that was never
            # written.
            found = secret_file.create(folder / "ca.pem", _pem(_make_authority(key, cluster, now)))
        certificate = _parse(found, folder / "ca.pem")
        if certificate.public_key() != key.public_key():
            raise ConfigError(f"{folder}/ca.pem: does not belong to ca.key beside it; restore both from one backup")
        if now >= certificate.not_valid_after_utc:
            ended = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            raise ConfigError(f"{folder}/ca.pem: ended on {ended}; delete it and start again")
        return cls(folder, found.decode("ascii"))

    def server_leaf(self, names: Sequence[str], now: datetime) -> Path:
        """Return the file with key and certificate of the service at these addresses and host names; the one
        that is there is kept while it is good for them and young enough.

        :raises ConfigError: the file cannot be read or written, or a name is no name.
        """
        path = self.folder / "enrolment.pem"
        found = secret_file.read(path)
        if found is None or not self._still_good(found, names, now):
            secret_file.replace(path, self._issue(names, now))
        return path

    def _still_good(self, pem: bytes, names: Sequence[str], now: datetime) -> bool:
        try:
            leaf = x509.load_pem_x509_certificate(pem)
            leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(self.ca_pem.encode()))
            shown = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
            return False  # damaged, or of an authority that was here before: a new one costs nothing
        begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return shown == _alternative_names(names) and begin <= now < begin + (end - begin) * LEAF_RENEWAL

    def _issue(self, names: Sequence[str], now: datetime) -> bytes:
        authority_key = _load_key(self.folder)
        authority = x509.load_pem_x509_certificate(self.ca_pem.encode())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now - BACKDATED + LEAF_LIFE, authority.not_valid_after_utc)
        builder = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clues enrolment")]), key, now, end)
            .issuer_name(authority.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_alternative_names(names), critical=False)
            .add_extension(issuer, critical=False)
        )
        return _key_pem(key) + _pem(builder.sign(authority_key, hashes.SHA256()))


def server_context(leaf: Path) -> ssl.SSLContext:
    """Return what a server needs to show *leaf* (the file of :meth:`CaFiles.server_leaf`): TLS 1.2 or
    newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0  # nobody comes twice soon enough for resumption to pay
    context.load_cert_chain(leaf)
    return context


def client_context(ca_pem: str) -> ssl.SSLContext:
    """Return what a client needs to trust this authority alone, host names checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context


def _load_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    path = folder / "ca.key"
    pem = secret_file.read(path)
    if pem is None:
        if (folder / "ca.pem").exists():
            raise ConfigError(f"{path}: is missing while ca.pem is there; restore it, or delete ca.pem to begin anew")
        pem = secret_file.create(path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: is not a private key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: is not an elliptic-curve key")
    return key


def _parse(pem: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ConfigError(f"{path}: is not a certificate in PEM form") from error


def _make_authority(key: ec.EllipticCurvePrivateKey, cluster: str, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"clues {cluster}"[:64])])
    return (
        _builder(name, key, now, now - BACKDATED + CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
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


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    if not names:
        raise ConfigError("the enrolment service has no name to be called by")
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # not an address, so a host name
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise ConfigError(f"{name!r} is neither an address nor a host name in ASCII") from error


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
