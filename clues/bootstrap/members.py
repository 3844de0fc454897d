"""Who a caller is, by the certificate that it has shown: that says who it was once, the inventory who it is now."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from clues.inventory import Inventory, Member


def member_of(certificate: bytes, inventory: Inventory) -> Member | None:
    """Return the live member that a verified certificate (DER) is of: its name and its key are the member's."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        public = parsed.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm):
        return None
    if len(names) != 1:
        return None
    member = inventory.member(str(names[0].value))
    identity = hashlib.sha256(public).hexdigest()
    return member if member is not None and member.identity == identity else None
