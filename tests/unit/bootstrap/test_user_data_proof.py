"""What a VM asks its provider about itself: a word to bring when it enrols, and which of several it is; the real script
and service, and a metadata service as EC2's."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.bootstrap.lab import KEY, FrontEnd, Vm, front_end

DOCUMENT = '{\n  "instanceId" : "i-0123456789abcdef0",\n  "region" : "eu-west-1"\n}'
SIGNATURE = "c2lnbmVk\nYnkgQVdT"
TOKEN = "AQAEAtoken=="
PARTS = {
    "dynamic/instance-identity/document": DOCUMENT,
    "dynamic/instance-identity/signature": SIGNATURE,
    "meta-data/ami-launch-index": "2",
}


class Metadata(BaseHTTPRequestHandler):
    """Gives a token by PUT, then the document and its signature to who shows it."""

    def log_message(self, *_: object) -> None: ...

    def do_PUT(self) -> None:
        self._say(200 if self.path == "/latest/api/token" else 404, TOKEN)

    def do_GET(self) -> None:
        part = self.path.removeprefix("/latest/")
        known = self.headers.get("X-aws-ec2-metadata-token") == TOKEN
        self._say(401 if not known else 200 if part in PARTS else 404, PARTS.get(part, ""))

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "state") as running:
        yield running


@pytest.fixture
def vm(tmp_path: Path) -> Vm:
    (tmp_path / "vm").mkdir()
    return Vm(tmp_path / "vm", [shutil.which("dash") or "dash"])


def test_a_vm_at_aws_brings_the_document_that_is_signed_for_it(front: FrontEnd, vm: Vm, metadata: str) -> None:
    ended = vm.run(front, proof="ec2", metadata=metadata)
    assert ended.returncode == 0, ended.stderr
    (proof,) = front.desk.proofs
    assert [base64.b64decode(part).decode() for part in proof.split(".")] == [DOCUMENT, SIGNATURE]
    assert vm.files_holding(TOKEN) == []


def test_elsewhere_nobody_is_asked(front: FrontEnd, vm: Vm) -> None:
    assert vm.run(front, metadata="http://127.0.0.1:1").returncode == 0
    assert front.desk.proofs == [""]


def test_a_metadata_service_that_does_not_answer_is_the_last_word(front: FrontEnd, vm: Vm) -> None:
    assert vm.run(front, proof="ec2", metadata="http://127.0.0.1:1").returncode == 1
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    assert "step proof" in words
    assert "the metadata service gives no token" in words


def tickets(front: FrontEnd, *keys: str) -> list[str]:
    return [front.tickets.issue(key) for key in keys]


def test_a_vm_of_several_takes_the_ticket_at_its_own_place(front: FrontEnd, vm: Vm, metadata: str) -> None:
    ended = vm.run(front, mates=tickets(front, "one", "two", KEY, "four"), proof="ec2", metadata=metadata)
    assert ended.returncode == 0, ended.stderr
    assert len(front.desk.proofs) == 1
    assert f"clues: {KEY} boots" in vm.read(f"var/lib/clues/{KEY}/log")
    assert vm.files_holding(TOKEN) == []
    for other in tickets(front, "one", "two", "four"):
        assert vm.files_holding(other) == []


def test_a_vm_that_is_none_of_those_takes_nobodys_ticket(front: FrontEnd, vm: Vm, metadata: str) -> None:
    ended = vm.run(front, mates=tickets(front, KEY, "two"), metadata=metadata)
    assert ended.returncode == 1
    assert "not one of those" in ended.stderr
    assert front.desk.proofs == []
    assert front.desk.reports == []
