"""How the enrolment service and whoever calls it speak TLS: 1.2 or newer, one authority trusted, names checked."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(leaf: Path) -> ssl.SSLContext:
    """Return what a server needs to show *leaf* (a file with its key and certificate): TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0  # nobody comes twice soon enough for resumption to pay
    context.load_cert_chain(leaf)
    return context


def client_context(ca_pem: str) -> ssl.SSLContext:
    """Return what a client needs to trust these authorities alone, host names checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context
