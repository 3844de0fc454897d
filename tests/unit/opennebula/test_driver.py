"""The libcloud driver by itself, as somebody without clues would use it."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState

from connectors.common.drivers import bound
from connectors.opennebula.driver import (
    PROVIDER,
    OpenNebulaError,
    OpenNebulaFault,
    OpenNebulaHttpError,
    OpenNebulaNodeDriver,
    OpenNebulaUnreadable,
    register,
)
from tests.lab.opennebula import Cloud, Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(Cloud()) as running:
        yield running


@pytest.fixture
def driver(emulator: Emulator) -> OpenNebulaNodeDriver:
    return of(emulator)


def of(emulator: Emulator, path: str = "/RPC2") -> OpenNebulaNodeDriver:
    """Return a driver for an emulator."""
    port = int(emulator.url.rpartition(":")[2])
    return OpenNebulaNodeDriver("clues", "s3cret:with colon", False, "127.0.0.1", port, path)


def test_it_is_registered_with_libcloud_once_and_again() -> None:
    assert register() is register() is get_driver(PROVIDER) is OpenNebulaNodeDriver


def test_it_does_what_libcloud_s_drivers_do(driver: OpenNebulaNodeDriver, emulator: Emulator) -> None:
    sizes = {size.name: size for size in driver.list_sizes()}
    images = {image.name: image for image in driver.list_images()}
    assert (sizes["medium"].ram, sizes["medium"].extra["vcpu"]) == (8192, 4)
    node = driver.create_node("one", sizes["medium"], images["clues-worker"])
    assert (node.id, node.name, node.state) == ("0", "one", NodeState.PENDING)
    emulator.cloud.advance(to="RUNNING")
    (listed,) = driver.list_nodes()
    assert (listed.id, listed.state, listed.private_ips) == ("0", NodeState.RUNNING, ["192.168.150.2"])
    assert driver.destroy_node(listed)
    emulator.cloud.advance(to="DONE")
    assert driver.list_nodes() == []
    assert driver.ex_get_vm(0).state == 6
    assert [network.name for network in driver.ex_list_networks()] == ["default", "clues-net"]
    assert driver.ex_version() == "6.10.0"


def test_a_refusal_has_its_code_and_words(driver: OpenNebulaNodeDriver) -> None:
    with pytest.raises(OpenNebulaError) as caught:
        driver.ex_get_vm(99)
    assert (caught.value.code, type(caught.value)) == (0x400, OpenNebulaError)
    assert "virtual machine [99]" in caught.value.words
    assert "0x0400" in str(caught.value)
    assert repr(caught.value) == str(caught.value)


def test_a_fault_has_its_code(driver: OpenNebulaNodeDriver) -> None:
    with pytest.raises(OpenNebulaFault) as caught:
        driver.connection.call("one.nothing")
    assert caught.value.code == -506


def test_another_path_is_an_error_of_http(emulator: Emulator) -> None:
    with pytest.raises(OpenNebulaHttpError) as caught:
        of(emulator, "/other").ex_version()
    assert caught.value.status == 404
    assert "URI not found" in caught.value.words


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<methodResponse><params><param><value><array><data/></array></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><string>s3cret</string></value></param></params></methodResponse>",
        "<!DOCTYPE x><methodResponse/>",
        "s3cret",
    ],
)
def test_an_answer_of_another_shape_is_told_and_not_quoted(
    driver: OpenNebulaNodeDriver, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(emulator, "answer", lambda _: answer)
    with pytest.raises(OpenNebulaUnreadable) as caught:
        driver.list_nodes()
    assert "one.vmpool.infoextended" in str(caught.value)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("inner", ["", "<x", "<VM/>", "<USER_POOL/>", "<VM_POOL><VM><ID>1</ID></VM></VM_POOL>"])
def test_a_listing_that_is_none_is_an_error_and_no_empty_list(
    driver: OpenNebulaNodeDriver, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    monkeypatch.setattr(driver.connection, "call", lambda *_: inner)
    with pytest.raises(OpenNebulaUnreadable):
        driver.list_nodes()


def test_text_is_utf_8_where_the_header_does_not_say(driver: OpenNebulaNodeDriver, emulator: Emulator) -> None:
    emulator.cloud.users[2].group.name = "kärnforschung"
    assert driver.ex_get_user().group == "kärnforschung"


def test_the_body_of_a_request_is_not_kept(driver: OpenNebulaNodeDriver) -> None:
    driver.ex_version()
    assert "s3cret" not in repr(vars(driver.connection).get("data"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "1"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return key, cert


def test_a_certificate_is_verified_with_the_site_s_own_ca(emulator: Emulator, certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), emulator._server.RequestHandlerClass)  # type: ignore[arg-type]
    server.emulator = emulator  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        port = server.server_address[1]
        driver = OpenNebulaNodeDriver("clues", "s3cret:with colon", True, "127.0.0.1", port)
        bound(driver.connection, 10)
        with pytest.raises(requests.exceptions.SSLError):
            driver.ex_version()
        driver.connection.trust(cert)
        assert driver.ex_version() == "6.10.0"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
