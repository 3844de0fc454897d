"""tls-crypt-v2: a key for each client of a central point, without which the point does not even answer.

The central points share one server key. A client's key is made from it when it is asked for and stored nowhere: it
holds random bytes of its own, and the same wrapped by the server key together with the claim's launch key. OpenVPN
itself makes both; keys go through memory and a file of ours alone, never through arguments.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clues.errors import ConfigError
from clues.places import Places
from clues.ports import Vault

CLIENT = "tls-crypt-v2"
SERVER = "tls-crypt-v2-server"

_SECONDS = 10.0
_LARGEST = 1 << 16
_FORM = (
    r"-----BEGIN OpenVPN tls-crypt-v2 {0} key-----\n(?:[A-Za-z0-9+/=]{{1,80}}\n)+"
    r"-----END OpenVPN tls-crypt-v2 {0} key-----\n?"
)
_SERVER_FORM = re.compile(_FORM.format("server").encode())
_CLIENT_FORM = re.compile(_FORM.format("client").encode())


def vaults(places: Places, openvpn: str = "openvpn") -> Mapping[str, Vault]:
    """Return where both kinds of key come from, by their names.

    :param openvpn: the program.
    """
    server = ServerKey(places.signer / "tls-crypt-v2-server.key", openvpn)
    return {SERVER: server, CLIENT: ClientKey(server)}


@dataclass(frozen=True, slots=True)
class ServerKey:
    """The key of the central points; a :class:`clues.ports.Vault`."""

    path: Path
    openvpn: str = "openvpn"

    def open(self, launch_key: str) -> bytes:
        """Return the key, the same for each central point; made when it is first asked for.

        :raises ConfigError: it can be read by others, is damaged, or cannot be made.
        """
        if not self.path.exists():
            key = _generate([self.openvpn, "--genkey", "tls-crypt-v2-server"], _SERVER_FORM)
            _create(self.path, key)
        return _read(self.path)


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key for one client; a :class:`clues.ports.Vault`."""

    server: ServerKey

    def open(self, launch_key: str) -> bytes:
        """Return a new key for the VM of this claim, its launch key within.

        :raises ConfigError: it cannot be made.
        """
        self.server.open(launch_key)  # so that it is there
        metadata = base64.b64encode(launch_key.encode()).decode("ascii")
        argv = [self.server.openvpn, "--tls-crypt-v2", str(self.server.path), "--genkey", "tls-crypt-v2-client"]
        return _generate(argv, _CLIENT_FORM, metadata)


def _generate(argv: Sequence[str], form: re.Pattern[bytes], *metadata: str) -> bytes:
    """Return what OpenVPN writes into the file that it is given last. That file is in memory only; no pipe will do,
    since OpenVPN reads a client's key again to check it."""
    program, memory = argv[0], os.memfd_create("tls-crypt-v2", os.MFD_CLOEXEC)
    try:
        done = subprocess.run(
            [*argv, f"/proc/self/fd/{memory}", *metadata],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(memory,),
            timeout=_SECONDS,
            check=False,
        )
        match = form.fullmatch(os.pread(memory, _LARGEST, 0))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"{program} cannot make a tls-crypt-v2 key: {type(error).__name__}: is it installed?"
        ) from error
    finally:
        os.close(memory)
    if done.returncode != 0 or match is None:
        # its own words are not quoted: a part of a key may stand in them
        raise ConfigError(f"{program} made no tls-crypt-v2 key (exit code {done.returncode}); 2.5 or newer is wanted")
    return match[0]


def _create(path: Path, key: bytes) -> None:
    """Make the file, complete and private from the first moment, unless somebody was quicker."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(handle).st_mode
            key = file.read()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: could be read by others, so it is no key; chmod 0600 it, or delete it")
    if not _SERVER_FORM.fullmatch(key):
        raise ConfigError(f"{path}: is not a tls-crypt-v2 server key; restore it, or delete it")
    return key
