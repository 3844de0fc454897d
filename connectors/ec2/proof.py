"""Which machine a caller is, by AWS's own signature: the instance identity document, and what it says.

Each VM can ask its metadata service for a document about itself and for a signature of it: SHA-256 under an RSA key of
the region, whose certificate AWS publishes (the user guide of EC2, "Use the base64-encoded signature to verify the
instance identity document"). A ticket that was read from a VM's user-data is of no use to whoever runs it elsewhere:
they get no document that names this instance. (Whoever is root on the VM has both.)
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_MOST_CERTIFICATES = 16


def what_is_wrong(proof: str, certificates: Path, instance_id: str, region: str) -> str:
    """Return why *proof* does not show that its sender is this instance; empty when it does.

    :param proof: the document and its signature as the metadata service gives them, each in base64, a dot between them.
    :param certificates: file with AWS's certificates for the region, in PEM form; one of them has to have signed.
    """
    document, _, signature = proof.partition(".")
    if not document or not signature:
        return "it brought no instance identity document"
    try:
        text = base64.b64decode(document, validate=True)
        # the metadata service gives the signature in base64 itself, in lines
        signed = base64.b64decode(b"".join(base64.b64decode(signature, validate=True).split()), validate=True)
    except ValueError:
        return "its instance identity document is malformed"
    try:
        keys = _keys(certificates)
    except (OSError, ValueError) as error:
        return f"its instance identity document cannot be checked: {certificates}: {error}"
    if not any(_has_signed(key, signed, text) for key in keys):
        return "its instance identity document is not signed by AWS"
    try:
        told = json.loads(text)
        named, where = str(told["instanceId"]), str(told["region"])
    except (ValueError, KeyError, TypeError):
        return "its instance identity document names no instance"
    if (named, where) != (instance_id, region):
        return f"its instance identity document is that of {named[:40]!r} in {where[:40]!r}"
    return ""


def _keys(path: Path) -> list[rsa.RSAPublicKey]:
    found = x509.load_pem_x509_certificates(path.read_bytes())[:_MOST_CERTIFICATES]
    keys = [key for one in found if isinstance(key := one.public_key(), rsa.RSAPublicKey)]
    if not keys:
        raise ValueError("it holds no certificate with an RSA key")
    return keys


def _has_signed(key: rsa.RSAPublicKey, signature: bytes, document: bytes) -> bool:
    try:
        key.verify(signature, document, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
