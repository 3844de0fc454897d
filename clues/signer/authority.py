"""The cluster's certificate authority, which can be replaced while the cluster runs.

An authority has a number, a key that only we may read, and a certificate of ten years. There is one at a time, except
during a rotation: then a second one is trusted as well before it signs anything, and the first one until nothing lives
by it any more. What is so now stands in ``authority.json``, replaced in one step; the public folder is made from it
again at each start, so a crash at any moment leaves the one state or the other.

Certificates are published with the one that signs first, so that each step changes the file's content and whoever
watches it sees that there is something to renew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.bootstrap import secret_file
from clues.bootstrap.trust import TrustStore, dated_name
from clues.errors import ConfigError, Transient
from clues.signer import leaves, public_file
from clues.signer.leaves import BACKDATED, Issuer

CA_LIFE = timedelta(days=3652)
#: so long after a change new user-data carries it: the file is there before anybody asks for that moment
LEAD = timedelta(seconds=10)

_STATE = "authority.json"
_FORM = 1


@dataclass(frozen=True, slots=True)
class Rotation:
    """What ``authority.json`` says."""

    #: numbers of the authorities that are trusted; the one that signs first
    trusted: tuple[int, ...]
    #: when this last changed
    changed_at: datetime

    def to_json(self) -> bytes:
        """Return the content of the file."""
        document = {
            "form": _FORM,
            "trusted": self.trusted,
            "changed_at": self.changed_at.isoformat(),
        }
        return json.dumps(document).encode()

    @staticmethod
    def from_json(content: bytes) -> Rotation:
        """Return what the file says.

        :raises ValueError: anything else than what :meth:`to_json` writes.
        """
        try:
            raw: dict[str, Any] = json.loads(content)
            if raw["form"] != _FORM:
                raise ValueError(f"it has form {raw['form']!r}, {_FORM} is known here")
            changed_at = datetime.fromisoformat(raw["changed_at"])
            trusted = tuple(int(one) for one in raw["trusted"])
            if not 1 <= len(trusted) <= 2 or changed_at.tzinfo is None:
                raise ValueError("its values are none of ours")
            return Rotation(trusted, changed_at)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not of the form that is known here: {error!r}") from error


class Authority:
    """The authorities of one cluster. Changed by one thread at a time; any thread may read."""

    def __init__(self, folder: Path, trust: Path, cluster: str, rotation: Rotation) -> None:
        """Take up what is there; :meth:`open` is what is meant to be called.

        :raises ConfigError: as :meth:`open`.
        """
        self._folder, self._trust, self._cluster = folder, trust, cluster
        self._take(rotation)

    @classmethod
    def open(cls, folder: Path, trust: Path, cluster: str, now: datetime) -> Authority:
        """Return the authorities in *folder*; the first one is made at the first start, for the cluster's UUID.

        :param trust: folder of what is public.
        :raises ConfigError: a file is missing, damaged, of another cluster, or can be read by others; a new authority
            is never made in the place of one that was there.
        """
        path = folder / _STATE
        content = secret_file.read(path)
        if content is None:
            if (folder / _certificate_name(2)).exists():
                raise ConfigError(f"{path}: is missing while authorities are there; restore it from a backup")
            _make(folder, 1, cluster, now)
            content = secret_file.create(path, Rotation((1,), now).to_json())
        try:
            rotation = Rotation.from_json(content)
        except ValueError as error:
            raise ConfigError(f"{path}: cannot be used: {error}; restore it from a backup") from error
        authority = cls(folder, trust, cluster, rotation)
        authority.publish(now)
        return authority

    @property
    def rotation(self) -> Rotation:
        """What is so now."""
        return self._rotation

    @property
    def signing(self) -> int:
        """The number of the one that signs."""
        return self._rotation.trusted[0]

    def issuer(self, number: int) -> Issuer:
        """Return one that is trusted."""
        return self._issuers[number]

    def bundle(self) -> str:
        """Return the certificates of all that are trusted, in PEM form, the one that signs first."""
        return "".join(leaves.to_pem(self._issuers[number].certificate) for number in self._rotation.trusted)

    def publish(self, now: datetime) -> None:
        """Write what is public, where it differs from what is written.

        :raises ConfigError: it cannot be written.
        """
        public_file.make_folder(self._trust)
        store, bundle = TrustStore(self._trust), self.bundle()
        try:
            dated = store.bundle_at(datetime.max.replace(tzinfo=UTC))
            since = now + LEAD
        except Transient:
            dated, since = "", now  # nobody can have launched anything yet
        if dated != bundle:
            public_file.replace(self._trust / dated_name(int(since.timestamp())), bundle.encode())
        public_file.replace(store.path, bundle.encode())

    def add(self, now: datetime) -> int:
        """Make one more authority, trusted from now on, signing nothing yet; return its number.

        :raises ConfigError: it cannot be made or published.
        """
        number = max(self._rotation.trusted) + 1
        _make(self._folder, number, self._cluster, now)
        self._change(Rotation((*self._rotation.trusted, number), now))
        return number

    def switch(self, now: datetime) -> int:
        """Let the newer one sign from now on; return its number.

        :raises ConfigError: it cannot be published.
        """
        self._change(Rotation(tuple(reversed(self._rotation.trusted)), now))
        return self.signing

    def drop(self, now: datetime) -> int:
        """Trust the one that signs alone, and destroy the key of the other; return the other's number.

        :raises ConfigError: it cannot be published.
        """
        kept, dropped = self._rotation.trusted
        self._change(Rotation((kept,), now))
        (self._folder / _key_name(dropped)).unlink(missing_ok=True)
        return dropped

    def _change(self, rotation: Rotation) -> None:
        secret_file.replace(self._folder / _STATE, rotation.to_json())
        self._take(rotation)
        self.publish(rotation.changed_at)

    def _take(self, rotation: Rotation) -> None:
        self._issuers = {number: _load(self._folder, number, self._cluster) for number in rotation.trusted}
        self._rotation = rotation


def _key_name(number: int) -> str:
    return f"ca-{number}.key"


def _certificate_name(number: int) -> str:
    return f"ca-{number}.pem"


def _make(folder: Path, number: int, cluster: str, now: datetime) -> None:
    """Make what is missing of an authority that nobody has been told of yet."""
    if secret_file.read(folder / _key_name(number)) is None:
        if (folder / _certificate_name(number)).exists():
            raise ConfigError(f"{folder}/{_key_name(number)}: is missing while its certificate is there; restore it")
        form = serialization.PrivateFormat.PKCS8
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        secret_file.create(folder / _key_name(number), pem)
    if secret_file.read(folder / _certificate_name(number)) is None:
        certificate = _self_signed(_load_key(folder, number), number, cluster, now)
        secret_file.create(folder / _certificate_name(number), leaves.to_pem(certificate).encode())


def _load(folder: Path, number: int, cluster: str) -> Issuer:
    key = _load_key(folder, number)
    path = folder / _certificate_name(number)
    pem = secret_file.read(path)
    if pem is None:
        raise ConfigError(f"{path}: is missing; restore it from a backup")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ConfigError(f"{path}: is not a certificate in PEM form; restore it from a backup") from error
    if certificate.public_key() != key.public_key():
        raise ConfigError(f"{path}: does not belong to the key beside it; restore both from one backup")
    if certificate.subject != _name(number, cluster):
        raise ConfigError(f"{path}: is of another cluster than {cluster}: is this the right state folder?")
    return Issuer(key, certificate)


def _load_key(folder: Path, number: int) -> ec.EllipticCurvePrivateKey:
    path = folder / _key_name(number)
    pem = secret_file.read(path)
    if pem is None:
        raise ConfigError(f"{path}: is missing; restore it from a backup")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: is not a private key in PEM form; restore it from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: is not an elliptic-curve key; restore it from a backup")
    return key


def _name(number: int, cluster: str) -> x509.Name:
    # The number stands in it: a revocation list and a certificate find their authority by its name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"clues {cluster} {number}")])


def _self_signed(key: ec.EllipticCurvePrivateKey, number: int, cluster: str, now: datetime) -> x509.Certificate:
    name = _name(number, cluster)
    return (
        leaves.begin(name, key.public_key(), now, now - BACKDATED + CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(leaves.key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
