"""Which certificates are revoked, and the list that says so.

A member's certificate is good as long as the member is in the inventory, with the key that the certificate is for. Once
revoked it stays so, whatever becomes of the inventory. While the inventory is unknown nobody is revoked; but the list
itself goes on being renewed, since an expired one locks everybody out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from clues.inventory import Inventory, Member
from clues.model import ClaimState
from clues.signer.issued import Issued
from clues.signer.leaves import BACKDATED, Issuer

CRL_LIFE = timedelta(days=7)
#: a list is made anew after so long, changed or not
CRL_RENEWAL = timedelta(days=1)
#: kinds of holders that are servers of ours: they stand in no inventory
SERVERS = frozenset({"hub", "front"})

_LEAVING = frozenset({ClaimState.STOPPING, ClaimState.FAILED, ClaimState.GONE})


def belongs(member: Member | None) -> bool:
    """Return whether a member is to be let in, as far as its state goes."""
    return member is not None and member.state not in _LEAVING


def to_revoke(issued: Iterable[Issued], inventory: Inventory) -> set[int]:
    """Return the serials that are good still and belong to nobody any more.

    A member whose identity the inventory does not know (it was taken up again after the ledger was lost) is not
    revoked for that.
    """
    members = {member.key: member for member in inventory.members}

    def stays(one: Issued) -> bool:
        member = members.get(one.holder)
        return member is not None and belongs(member) and member.identity in ("", one.identity)

    return {one.serial for one in issued if one.kind not in SERVERS and one.revoked_at is None and not stays(one)}


def render(issuer: Issuer, revoked: Iterable[tuple[int, datetime]], now: datetime) -> bytes:
    """Return one authority's list in PEM form.

    :param revoked: serial numbers, and when each was revoked.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + CRL_LIFE)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    for serial, when in sorted(revoked):
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
