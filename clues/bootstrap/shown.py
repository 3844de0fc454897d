"""The certificate that the enrolment front shows, and whom it believes.

Its key is made here, lives in this process's memory alone and is made anew with each certificate: a leaf is asked of
the signer well before the old one ends. OpenSSL takes keys from files only, so it gets one that has no name and no
place on a disk (memfd).
"""

from __future__ import annotations

import base64
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.bootstrap.signer_calls import SignerCalls
from clues.bootstrap.tls import server_context
from clues.bootstrap.trust import TrustStore
from clues.errors import Transient

log = logging.getLogger(__name__)

#: a new leaf is asked for after this share of the old one's life
RENEWAL = 0.5


class Shown:
    """Makes the TLS contexts; each method may be called on any one thread at a time."""

    def __init__(
        self, signer: SignerCalls, trust: TrustStore, names: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._signer, self._trust, self._names, self._now = signer, trust, tuple(names), now
        self._leaf = b""
        self._due: datetime | None = None
        self._bundle = ""
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return what to speak TLS with now; only after :meth:`refresh` has succeeded once."""
        if self._context is None:
            raise RuntimeError("no certificate yet")
        return self._context

    def refresh(self) -> None:
        """See that the certificate is young and the authorities are those of now.

        :raises CluesError: it cannot be done now; what there was serves on.
        """
        bundle = self._trust.bundle()
        if self._leaf and bundle == self._bundle and self._due is not None and self._now() < self._due:
            return
        # With other authorities a leaf of the one that signs now: the former one may be on its way out.
        leaf, due = self._ask()
        self._context = _context(leaf, bundle)
        self._leaf, self._due, self._bundle = leaf, due, bundle

    def _ask(self) -> tuple[bytes, datetime]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clues enrolment")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        text = base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode()
        pem = self._signer.front(text, self._names)
        try:
            leaf = x509.load_pem_x509_certificate(pem.encode())
        except ValueError as error:
            raise Transient("the signer's answer is no certificate") from error
        if leaf.public_key() != key.public_key():
            raise Transient("the signer's answer is a certificate of another key")
        begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        log.info("enrolment: a certificate until %s", f"{end:%Y-%m-%d %H:%M}")
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret + pem.encode(), begin + (end - begin) * RENEWAL


def _context(leaf: bytes, bundle: str) -> ssl.SSLContext:
    handle = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(leaf)
        context = server_context(Path(f"/proc/self/fd/{handle}"))
        # A VM has no certificate before it has enrolled; one that is shown has to be good.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, OSError) as error:
        raise Transient("the signer's certificates cannot be used") from error
    finally:
        os.close(handle)
    return context
