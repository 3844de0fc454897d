"""A VM of the container's cloud, as far as its enrolment goes: ``python vm.py NODE`` enrols for the node's claim.

It comes from the VM's own address, with the ticket that the VM was launched with, over TLS by the CA that it was told.
Prints the HTTP status and the first line of the answer.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import ssl
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.bootstrap.tickets import Tickets

STATE = Path("/var/lib/clues")


def claim_of(node: str) -> tuple[str, str]:
    """Return the launch key and the address of a node's claim; the latter is empty until the cloud has told it."""
    ledger = sqlite3.connect(f"file:{STATE}/ledger.db?mode=ro", uri=True)
    rows = ledger.execute("SELECT document FROM claims WHERE node = ? AND state != 'gone'", (node,)).fetchall()
    (claim,) = [json.loads(text) for (text,) in rows]
    return str(claim["key"]), str(claim["address"] or next(iter(claim["listed_addresses"]), ""))


def request_for(folder: Path, key: str) -> str:
    """Return a request for a certificate, by the VM's own key, which is made at its first boot."""
    path = folder / f"{key}.key"
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        path.write_bytes(made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    private = serialization.load_pem_private_key(path.read_bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vm")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(private, hashes.SHA256())  # type: ignore[arg-type]
    text = request.public_bytes(serialization.Encoding.PEM).decode()
    return "".join(line for line in text.splitlines() if "-----" not in line)


def main() -> None:
    """Enrol once."""
    key, address = claim_of(sys.argv[1])
    if not address:
        print("its address is not known yet")
        return
    subprocess.run(["ip", "address", "replace", f"{address}/16", "dev", "front"], check=True)
    body = f"csr={request_for(Path('/root'), key)}\nCPUS=4\nMEMORY_MIB=7168\nGPUS=\nCLOCK={int(time.time())}\n"
    context = ssl.create_default_context(cafile=str(STATE / "trust/ca.pem"))
    front = http.client.HTTPSConnection("10.77.0.1", 8443, timeout=20, context=context, source_address=(address, 0))
    ticket = Tickets((STATE / "ticket.key").read_bytes()).issue(key)
    front.request("POST", "/v1/enrol", body, {"Authorization": f"Ticket {ticket}"})
    answer = front.getresponse()
    print(answer.status, answer.read().split(b"\n")[0].decode())


if __name__ == "__main__":
    main()
