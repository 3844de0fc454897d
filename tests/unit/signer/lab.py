"""What the tests of the signer share: keys of VMs, their requests, and inventories."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind
from clues.signer.leaves import identity_of

CLUSTER = "d2c0a3f0-0000-4000-8000-000000000000"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a key as a VM makes it."""
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: ec.EllipticCurvePrivateKey, name: str = "I am the front-end") -> str:
    """Return a certificate request that asks for more than it may have."""
    der = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    return base64.b64encode(der).decode("ascii")


def member(
    key: str,
    held: ec.EllipticCurvePrivateKey | None,
    *,
    kind: Kind = Kind.WORKER,
    state: ClaimState = ClaimState.READY,
) -> Member:
    """Return a member that enrolled with a key; with None it has not enrolled."""
    identity = "" if held is None else identity_of(held.public_key())
    return Member(key=key, kind=kind, site="upv", node=f"node-{key}", state=state, identity=identity)


def inventory(members: Iterable[Member], revision: int = 1) -> Inventory:
    """Return an inventory of these members."""
    return Inventory(CLUSTER, revision, NOW, members=tuple(members))


def verify(folder: Path, leaf: str, bundle: str, *more: str, crl: bytes = b"") -> str:
    """Ask openssl whether a certificate is good; return what it says, ``OK`` at the end when it is."""
    (folder / "verify-leaf.pem").write_text(leaf)
    (folder / "verify-ca.pem").write_text(bundle)
    argv = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / "verify-ca.pem"), *more]
    if crl:
        (folder / "verify-crl.pem").write_bytes(crl)
        argv += ["-crl_check", "-CRLfile", str(folder / "verify-crl.pem")]
    done = subprocess.run([*argv, str(folder / "verify-leaf.pem")], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()
