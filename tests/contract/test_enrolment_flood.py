"""Ten thousand bad tokens, from one address and from many: they are refused, and an honest VM gets in meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.bootstrap.tls import client_context
from tests.unit.bootstrap.lab import KEY, FrontEnd, front_end, make_request

TOKENS = 10_000
#: floods at once; the rest of the machine is the front's
CLIENTS = 48

#: the flood is a process of its own, as it would be: argv is the port, the CA's file, the addresses, the ticket's claim
FLOOD = "from tests.contract.test_enrolment_flood import main; main()"


async def flood(port: int, context: ssl.SSLContext, sources: list[str], claim: str) -> dict[str, int]:
    """Send :data:`TOKENS` requests with tickets that nobody issued; return how they were answered."""
    numbers, answers = iter(range(TOKENS)), dict[str, int]()
    body = f"csr={make_request()[1]}\nCPUS=1\nMEMORY_MIB=1\nGPUS=\nCLOCK=1\n".encode()

    async def client() -> None:
        for number in numbers:
            ticket = f"{claim or f'claim-{number}'}.{number:043d}"
            head = f"POST /v1/enrol HTTP/1.1\r\nAuthorization: Ticket {ticket}\r\nContent-Length: {len(body)}\r\n\r\n"
            status = "none"
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(20):
                    source = (sources[number % len(sources)], 0)
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1", local_addr=source
                    )
                    writer.write(head.encode() + body)
                    status = (await reader.readline()).decode().split(" ")[1]
                    writer.transport.abort()
            answers[status] = answers.get(status, 0) + 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


def main() -> None:
    port, ca, sources, claim = sys.argv[1:5]
    context = client_context(Path(ca).read_text())
    print(json.dumps(asyncio.run(flood(int(port), context, sources.split(","), claim))))


def honest(front: FrontEnd, source: str) -> int:
    """Enrol as user-data does: who is put off, or finds all seats taken, comes again; the status in the end."""
    for _ in range(20):
        with contextlib.suppress(OSError, http.client.HTTPException):
            status = ask(front, source)
            if status not in (429, 503):
                return status
        time.sleep(0.5)
    return 0


def ask(front: FrontEnd, source: str) -> int:
    body = f"csr={make_request()[1]}\nCPUS=1\nMEMORY_MIB=1\nGPUS=\nCLOCK={int(time.time())}\n".encode()
    connection = http.client.HTTPSConnection(
        "127.0.0.1", front.service.port, timeout=20, context=client_context(front.ca_pem), source_address=(source, 0)
    )
    with contextlib.closing(connection):
        connection.request("POST", "/v1/enrol", body, {"Authorization": f"Ticket {front.tickets.issue(KEY)}"})
        return connection.getresponse().status


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "state") as running:
        yield running


ONE = ["127.0.0.1"]
MANY = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]


@pytest.mark.parametrize(
    ("sources", "claim", "caller"),
    [
        (ONE, "", "127.0.0.1"),
        pytest.param(MANY, "", "127.9.9.9", marks=pytest.mark.slow),
        pytest.param(MANY, KEY, "127.9.9.9", marks=pytest.mark.slow),
    ],
    ids=["one address, ours too", "many addresses", "many addresses, our claim"],
)
def test_an_honest_vm_gets_in_during_a_flood(
    front: FrontEnd, tmp_path: Path, sources: list[str], claim: str, caller: str
) -> None:
    argv = [sys.executable, "-c", FLOOD, str(front.service.port), str(front.trust.path), ",".join(sources), claim]
    flooding = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.append(flooding.communicate()[0]))
    reader.start()
    try:
        while front.desk.calls < 10:  # it has begun
            assert flooding.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        began = time.monotonic()
        status = honest(front, caller)
        took = time.monotonic() - began
        assert flooding.poll() is None, "the flood was over before"
    finally:
        reader.join(120)
    assert status == 200
    assert took < 10, f"it took {took:.1f} s"  # 0.2 s on a machine that has nothing else to do
    answers = json.loads(told[0])
    assert sum(answers.values()) == TOKENS
    assert "200" not in answers
    assert len(front.desk.redeemed) == 1
