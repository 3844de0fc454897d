"""A VM's boot log by SSH, from the VM itself and nobody else.

What answers at the VM's address has to show one of the host keys that the VM told when it enrolled, over TLS and with
its ticket. There is no first use to trust: a VM that told none is not spoken to, and nothing is sent to who shows
another.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import socket
import stat
from pathlib import Path

from clues.config import Ssh
from clues.errors import AuthFailed, InvalidRequest, NotFound, Transient
from clues.model import Claim
from clues.vmlogs.text import LONGEST

_TIMEOUT = 15.0

#: Where user-data writes, by the launch key.
_LOG = "/var/lib/clues/{}/log"
_LAUNCH_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def read_boot_log(claim: Claim, ssh: Ssh) -> str:
    """Return the end of the boot log of a claim's VM.

    :raises InvalidRequest: it has told no host keys, or has no address.
    :raises AuthFailed: who answers is not this VM, or does not let us in.
    :raises NotFound: it has no boot log.
    :raises Transient: nobody answers.
    """
    expected = claim.facts.host_keys if claim.facts is not None else ()
    if not expected:
        raise InvalidRequest(f"{claim.node} has told no SSH host keys at its enrolment: it cannot be known again")
    if not claim.address or not _LAUNCH_KEY.fullmatch(claim.key):
        raise InvalidRequest(f"{claim.node} has no address that it could be reached at")
    # imported here: it takes as long as all the rest of the daemon, and is seldom wanted
    import paramiko

    secret = _key(ssh.identity)
    try:
        with socket.create_connection((claim.address, ssh.port), _TIMEOUT) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.start_client(timeout=_TIMEOUT)
                _know(transport.get_remote_server_key().asbytes(), expected, claim)
                transport.auth_publickey(ssh.user, secret)
                return _tail(transport, claim, ssh)
            finally:
                transport.close()
    except paramiko.AuthenticationException as error:
        raise AuthFailed(f"{claim.node} does not let {ssh.user} in with the key {ssh.identity}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Transient(f"{claim.node} at {claim.address} does not answer by SSH: {why}") from error


def _know(shown: bytes, expected: tuple[str, ...], claim: Claim) -> None:
    digest = base64.b64encode(hashlib.sha256(shown).digest()).decode().rstrip("=")
    if f"SHA256:{digest}" not in expected:
        raise AuthFailed(
            f"what answers at {claim.address} is not {claim.node}: it shows the host key SHA256:{digest}, and the VM "
            "told others when it enrolled. Nothing was sent there"
        )


def _tail(transport: object, claim: Claim, ssh: Ssh) -> str:
    path = shlex.quote(_LOG.format(claim.key))
    sudo = "" if ssh.user == "root" else "sudo -n "
    channel = transport.open_session(timeout=_TIMEOUT)  # type: ignore[attr-defined]
    channel.settimeout(_TIMEOUT)
    channel.exec_command(f"{sudo}tail -c {LONGEST} {path}")
    read = bytearray()
    while len(read) < 4 * LONGEST and (part := channel.recv(65_536)):
        read += part
    code = channel.recv_exit_status() if channel.status_event.wait(_TIMEOUT) else 0
    if code and not read:
        words = channel.recv_stderr(1024).decode("utf-8", "replace").strip() if channel.recv_stderr_ready() else ""
        raise NotFound(
            f"{claim.node} has no boot log at {path}, or {ssh.user} may not read it: {words or f'exit {code}'}"
        )
    return read.decode("utf-8", "replace")


def _key(reference: str) -> object:
    """Return the private key that the configuration names: a path, or a credential of systemd's.

    :raises AuthFailed: it cannot be read, others can read it, or it is none.
    """
    import paramiko

    folder = os.environ.get("CREDENTIALS_DIRECTORY", "/etc/clues/credentials")
    path = Path(reference) if "/" in reference else Path(folder) / reference
    try:
        mode = path.stat().st_mode
        if mode & 0o077 and path.parent != Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")):
            raise AuthFailed(f"{path} can be read by others ({stat.filemode(mode)}): `chmod 600 {path}`")
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise AuthFailed(f"{path}: {error.strerror}: put the private key there, readable for cluesd's user") from error
    except (ValueError, TypeError, paramiko.SSHException) as error:
        raise AuthFailed(f"{path} is not a private key without a passphrase: {error}") from error
