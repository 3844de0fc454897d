"""``clues ssh``: the system's own ssh, to a VM that is known by the host keys it told when it enrolled.

The daemon knows fingerprints; ``ssh-keyscan`` brings the keys that the VM shows now, and those whose fingerprints were
told go into a file of known hosts of their own, the only one that ssh looks into. So there is no first use to trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Iterable

from clues.api import wire_clouds
from clues.cli.command import Command, Session
from clues.cli.errors import Failed
from clues.cli.output import parse

_SCAN_SECONDS = 10


def _run(arguments: Namespace, session: Session) -> int:
    way = parse(wire_clouds.SshWay, session.client.get(f"ssh/{arguments.node}"))
    known = _known(way, _scan(way))
    with tempfile.TemporaryDirectory(prefix="clues-ssh-") as folder:
        path = f"{folder}/known_hosts"
        with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be imported for this
            file.write("".join(f"{way.claim} {key}\n" for key in known))
        return _ssh(way, path, arguments.words)


def _scan(way: wire_clouds.SshWay) -> list[str]:
    """Return the host keys that it shows: type and key, in base64."""
    try:
        done = subprocess.run(
            ["ssh-keyscan", "-T", str(_SCAN_SECONDS), "-p", str(way.port), "--", way.address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * _SCAN_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed("there is no ssh-keyscan here: install openssh-client") from error
    except subprocess.TimeoutExpired:
        return []
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    return [f"{line[1]} {line[2]}" for line in lines if len(line) >= 3]


def _known(way: wire_clouds.SshWay, shown: list[str]) -> list[str]:
    """Return those keys that the VM told when it enrolled.

    :raises Failed: there are none: whoever answers is not this VM.
    """
    if not shown:
        raise Failed(f"{way.node} at {way.address} does not answer by SSH (port {way.port}): `clues logs {way.node}`")
    known = [key for key in shown if fingerprint(key) in way.host_keys]
    if not known:
        prints = ", ".join(fingerprint(key) for key in shown)
        raise Failed(
            f"what answers at {way.address} is not {way.node}: it shows {prints}, "
            "and the VM told other host keys when it enrolled. Nothing was sent there"
        )
    return known


def fingerprint(key: str) -> str:
    """Return the fingerprint of a key in base64 after its type, as OpenSSH writes it; empty where it is none."""
    try:
        digest = hashlib.sha256(base64.b64decode(key.split()[1], validate=True)).digest()
    except (binascii.Error, IndexError):
        return ""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _ssh(way: wire_clouds.SshWay, known_hosts: str, words: Iterable[str]) -> int:
    options = {
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": way.claim,
        "StrictHostKeyChecking": "yes",
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "ForwardAgent": "no",  # root on a worker could use it
    }
    command = ["ssh", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    command += ["-p", str(way.port)]
    if way.user:
        command += ["-l", way.user]
    if way.identity and os.access(way.identity, os.R_OK):
        command += ["-i", way.identity]
    sys.stdout.flush()
    # Ctrl-C is for the other side; the file of known hosts is removed when ssh has ended
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen([*command, "--", way.address, *words], preexec_fn=_interruptible) as process:
            return process.wait()
    except FileNotFoundError as error:
        raise Failed("there is no ssh here: install openssh-client") from error
    finally:
        signal.signal(signal.SIGINT, before)


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="a node whose VM has enrolled; router-SITE is one, too")
    parser.add_argument("words", nargs=REMAINDER, metavar="COMMAND", help="what to run there; a shell without any")


COMMAND = Command(
    words=("ssh",),
    summary="log in to a VM by the host keys that it told when it enrolled",
    run=_run,
    arguments=_arguments,
    about="The system's ssh is run with the VM's address, `user` and `port` of `ssh:` in clues.yaml, and its "
    "`identity` where you can read it; else your own keys and agent are used. Only host keys that the VM told over "
    "its verified enrolment are taken: there is never a question whether to trust a key. The exit code is ssh's.",
    examples=(
        ("clues ssh gpu-02", "a shell there"),
        ("clues ssh gpu-02 nvidia-smi", "one command"),
    ),
    offline=True,
)
