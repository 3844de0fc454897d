"""A VM's sshd on loopback, as far as it is needed: one user, one key, and a file that `tail` shows."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import paramiko


def fingerprint(key: paramiko.PKey) -> str:
    """Return what ``ssh-keygen -l`` shows of a key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class _Door(paramiko.ServerInterface):  # type: ignore[misc]
    def __init__(self, vm: Sshd) -> None:
        self.vm = vm

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.vm.tried.append(username)
        known = username == self.vm.user and key.asbytes() == self.vm.allowed.asbytes()
        return int(paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED)

    def get_allowed_auths(self, _: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, _: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_UNKNOWN_CHANNEL_TYPE)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.vm.commands.append(command.decode())
        threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel) -> None:
        if self.vm.log is None:
            channel.sendall_stderr(b"tail: cannot open: No such file or directory\n")
            channel.send_exit_status(1)
        else:
            channel.sendall(self.vm.log)
            channel.send_exit_status(0)
        channel.shutdown_write()
        # A close could overtake the answer to the command; whoever ends their side has had it.
        with suppress(OSError):
            channel.settimeout(10)
            channel.recv(1)
        channel.close()


@dataclass
class Sshd:
    """What it is, and what was asked of it."""

    host_key: paramiko.PKey
    allowed: paramiko.PKey
    user: str = "root"
    log: bytes | None = b"clues: enrolled\n"
    port: int = 0
    tried: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @contextmanager
    def serve(self) -> Iterator[Sshd]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            transports: list[paramiko.Transport] = []

            def accept() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    transport = paramiko.Transport(connection)
                    transport.add_server_key(self.host_key)
                    transports.append(transport)
                    try:
                        transport.start_server(server=_Door(self))
                    except (paramiko.SSHException, EOFError, OSError):  # who called has gone
                        transport.close()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(5)
                for transport in transports:
                    transport.close()
                    transport.join(5)
