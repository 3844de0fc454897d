"""The central point's own key and certificate.

The key is made here, anew each time, and leaves this machine never; the signer gives the certificate. Files are
replaced one by one, which OpenVPN does not notice: it reads them when it starts and when it is told to start over.
"""

from __future__ import annotations

import base64
import os
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues import rpc
from clues.errors import Transient
from vrouter.hub.settings import HubSettings

#: a certificate is renewed after this share of its life, well before two thirds of it
RENEWAL = 0.6


def fetch(settings: HubSettings) -> datetime:
    """Have a certificate for a new key, write both, and return when to do so again.

    :raises Transient: the signer does not answer, or not in the form that is known here.
    :raises CluesError: the signer refuses.
    :raises OSError: the files cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"clues hub {settings.name}")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    encoded = base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()
    given = rpc.call(settings.places.signer_socket, "hub", csr=encoded, name=settings.name)
    try:
        certificate, authorities = str(given["certificate"]), str(given["ca"])
        wrapping = base64.b64decode(given["tls_crypt_v2"], validate=True)
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        x509.load_pem_x509_certificates(authorities.encode())
    except (KeyError, TypeError, ValueError) as error:
        raise Transient(f"the signer's answer is not of a known form: {type(error).__name__}") from error
    if leaf.public_key() != key.public_key():
        raise Transient("the signer answered with a certificate for another key")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder = settings.folder
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace(folder / "tls-crypt-v2.key", wrapping, 0o600)
    replace(folder / "key.pem", private, 0o600)
    replace(settings.certificate, certificate.encode(), 0o644)
    replace(folder / "ca.pem", authorities.encode(), 0o644)
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return begin + (end - begin) * RENEWAL


def trusted_changed(settings: HubSettings) -> bool:
    """Return whether other authorities are trusted now than when the certificate was fetched."""
    try:
        return (settings.places.trust / "ca.pem").read_bytes() != (settings.folder / "ca.pem").read_bytes()
    except OSError:
        return False  # unknown


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole; nobody ever sees it with more rights than *mode*.

    :raises OSError: it cannot be written; the old one stands.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    new.replace(path)
