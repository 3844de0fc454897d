"""A connection to the management interface, with a bad other side: on real sockets, in this process."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clues.errors import CluesError, Transient
from vrouter.broker.management import Management, Refused
from vrouter.broker.protocol import Garbled

GREETING = b">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n"


@contextmanager
def openvpn(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[Management]:
    """Be the other side of one connection; yield ours, connected."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def attend() -> None:
            channel, _ = listener.accept()
            with channel:
                channel.sendall(GREETING)
                try:
                    serve(channel)
                except OSError:
                    return

        thread = threading.Thread(target=attend)
        thread.start()
        ours = Management(path, patience=0.5)
        ours.connect()
        try:
            yield ours
        finally:
            ours.disconnect()
            thread.join(10)
    assert not thread.is_alive()


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answer each command with the next one of these, then wait for the end."""

    def serve(channel: socket.socket) -> None:
        for one in answers:
            channel.recv(4096)
            channel.sendall(one)
        while channel.recv(4096):
            pass

    return serve


def test_the_answer_to_kill_is_read_and_does_not_corrupt_the_next(tmp_path: Path) -> None:
    answers = (b"SUCCESS: 1 client(s) at address 1.2.3.4:5 killed\r\n", b"SUCCESS: nclients=1,bytesin=2,bytesout=3\r\n")
    with openvpn(tmp_path / "s", answering(*answers)) as ours:
        assert ours.command("kill 1.2.3.4:5").startswith("1 client(s)")
        stats = ours.get_stats()
        assert (stats.client_count, stats.bytes_in, stats.bytes_out) == (1, 2, 3)


def test_what_openvpn_api_reads_well_serves_on(tmp_path: Path) -> None:
    version = b"OpenVPN Version: OpenVPN 2.6.14 x86_64-pc-linux-gnu\r\nManagement Version: 5\r\nEND\r\n"
    with openvpn(tmp_path / "s", answering(version)) as ours:
        assert ours.software() == "2.6.14"


def test_news_that_come_with_an_answer_are_kept(tmp_path: Path) -> None:
    with openvpn(tmp_path / "s", answering(b">HOLD:x\r\nSUCCESS: done\r\n>HOLD:y\r\n")) as ours:
        assert ours.command("hold release") == "done"
        assert [news.what for news in ours.poll(0)] == ["INFO", "HOLD", "HOLD"]


def test_a_refusal_leaves_the_connection_good(tmp_path: Path) -> None:
    with openvpn(tmp_path / "s", answering(b"ERROR: client-auth command failed\r\n", b"SUCCESS: yes\r\n")) as ours:
        with pytest.raises(Refused):
            ours.command("client-auth 1 2", "ifconfig-push 10.0.0.1 255.0.0.0")
        assert ours.command("hold release") == "yes"


def test_hanging_up_in_the_midst_of_an_answer_is_an_error_at_once(tmp_path: Path) -> None:
    def serve(channel: socket.socket) -> None:
        channel.recv(4096)
        channel.sendall(b"TITLE\tOpen")

    with openvpn(tmp_path / "s", serve) as ours:
        with pytest.raises(Transient):
            ours.sessions()
        with pytest.raises(Transient):
            ours.command("hold release")


@pytest.mark.parametrize("drip", [b"", b"TITLE\tnever an end\n"])
def test_an_answer_that_does_not_end_is_not_waited_for_without_end(tmp_path: Path, drip: bytes) -> None:
    def serve(channel: socket.socket) -> None:
        channel.recv(4096)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            channel.sendall(drip)
            time.sleep(0.05)

    with openvpn(tmp_path / "s", serve) as ours:
        begin = time.monotonic()
        with pytest.raises(Transient):
            ours.sessions()
        assert time.monotonic() - begin < 1.5


def test_what_nobody_asked_for_ends_the_connection(tmp_path: Path) -> None:
    asked = threading.Event()

    def serve(channel: socket.socket) -> None:
        asked.wait(5)
        channel.sendall(b"SUCCESS: of what?\r\n")
        channel.recv(10)

    with openvpn(tmp_path / "s", serve) as ours:
        ours.poll(0)
        asked.set()
        with pytest.raises(Garbled):
            ours.poll(5)


def test_nobody_writes_a_second_command_into_the_first(tmp_path: Path) -> None:
    with openvpn(tmp_path / "s", answering()) as ours, pytest.raises(ValueError, match="line break"):
        ours.command('client-deny 1 1 "x\nsignal SIGTERM"')


def test_no_socket_and_something_else_than_openvpn_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(Transient):
        Management(tmp_path / "nothing").connect()
    with pytest.raises(Transient):
        Management(tmp_path / "nothing").fileno()


def test_garbage_gives_typed_errors_only(tmp_path: Path) -> None:
    luck = random.Random(5)

    def serve(channel: socket.socket) -> None:
        channel.recv(4096)
        channel.sendall(b"SUCCESS: " + luck.randbytes(500) + b"\n" + luck.randbytes(500))

    for at in range(50):
        with openvpn(tmp_path / str(at), serve) as ours:
            for ask in (ours.sessions, ours.software, lambda: ours.poll(0), lambda: ours.command("hold release")):
                try:
                    ask()
                except CluesError:
                    continue
