"""When the central point's certificate and the revocation list end."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\s*", re.DOTALL)
#: a list or a certificate that ends so soon should have been replaced long ago
SOON = timedelta(days=1)


def crl_end(path: Path) -> datetime | None:
    """Return when the first of the lists in the file ends; None when that cannot be told."""
    try:
        ends = [x509.load_pem_x509_crl(one).next_update_utc for one in _CRL.findall(path.read_bytes())]
    except (OSError, ValueError):
        return None
    known = [end for end in ends if end is not None]
    return min(known) if known else None


def certificate_end(path: Path) -> datetime | None:
    """Return when the first certificate in the file ends; None when that cannot be told."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


def trouble(crl: datetime | None, certificate: datetime | None, now: datetime) -> str:
    """Return what a sysadmin has to see to, empty when nothing."""
    for what, end in (("the revocation list", crl), ("the central point's certificate", certificate)):
        if end is None:
            return f"{what} cannot be read"
        if end <= now:
            return f"{what} ended at {end:%Y-%m-%d %H:%M}Z, so nobody can connect: is clues-signer running?"
        if end - now < SOON:
            return f"{what} ends at {end:%Y-%m-%d %H:%M}Z: is clues-signer running?"
    return ""
