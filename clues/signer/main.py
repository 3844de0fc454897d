"""``clues-signer``: opens what it keeps, serves its socket, and keeps the revocation list until it is told to end."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from clues import __version__
from clues.clock import SteadyClock
from clues.config import DEFAULT_FILE, Loaded, Plugins, load
from clues.errors import CluesError, ConfigError
from clues.inventory import Reader
from clues.places import Places
from clues.registry import find_plugins
from clues.rpc import Server, users_named
from clues.signer.authority import Authority
from clues.signer.certificates import Certificates
from clues.signer.issued import IssuedList
from clues.signer.revocation import Revocation, look_quietly
from clues.signer.service import CALLERS, Signer, describe
from clues.signer.vaults import Vaults, find_vaults
from clues.systemd import notify

log = logging.getLogger(__name__)

#: between two looks at the inventory
_LOOK_SECONDS = 0.2
#: after a failure, which may be a full disk
_PAUSE_SECONDS = 5.0


@dataclass
class Service:
    """A whole signer, put together and not yet running."""

    server: Server
    revocation: Revocation
    issued: IssuedList
    clock: SteadyClock

    def run(self, stopping: Event) -> None:
        """Serve until *stopping* is set.

        :raises ConfigError: the socket or the first revocation list cannot be made.
        """
        self.revocation.look(self.clock.now())
        self.server.start()
        try:
            notify("READY=1")
            pause = _LOOK_SECONDS
            while not stopping.wait(pause):
                well = look_quietly(self.revocation, self.clock.now())
                pause = _LOOK_SECONDS if well else _PAUSE_SECONDS
        finally:
            notify("STOPPING=1")
            self.server.stop()
            self.issued.close()


def assemble(loaded: Loaded, plugins: Plugins, cluster: str, clock: SteadyClock) -> Service:
    """Put a signer together from a checked configuration, for the cluster of this UUID.

    :raises ConfigError: what it keeps cannot be opened.
    """
    places = loaded.places
    _private_folder(places.signer)
    authority = Authority.open(places.signer, places.trust, cluster, clock.now())
    issued = IssuedList.open(places.signer / "issued.db")
    certificates = Certificates(authority, issued, clock.now)
    revocation = Revocation(places.crl, authority, issued, Reader(places.inventory, cluster))
    signer = Signer(
        places.desk_socket,
        certificates,
        Vaults(find_vaults(loaded, plugins, places)),
        Reader(places.inventory, cluster),
        lambda: describe(authority, issued, revocation, clock.now()),
    )
    users = _users()
    server = Server(places.signer_socket, signer.handlers(users), users=users.values())
    return Service(server, revocation, issued, clock)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``clues-signer``; return its exit code: 0 after a stop, 1 when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="clues-signer",
        description="Holds the keys of a clues cluster: signs the certificates of its VMs, revokes those that have "
        "left, and gives each new VM its secrets once cluesd has let it in.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--version", action="version", version=f"clues-signer {__version__}")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    os.umask(0o077)
    stopping = Event()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        plugins = find_plugins()
        loaded = load(arguments.config, plugins)
        cluster = _wait_for_cluster(loaded.places, stopping)
        if cluster:
            assemble(loaded, plugins, cluster, SteadyClock()).run(stopping)
    except CluesError as error:
        print(f"clues-signer: {error}", file=sys.stderr)
        return 1
    return 0


def _wait_for_cluster(places: Places, stopping: Event) -> str:
    """Return the cluster's UUID, which cluesd mints at its first start; empty when told to stop meanwhile."""
    told = False
    while not stopping.is_set():
        found = _cluster(places)
        if found:
            return found
        if not told:
            log.warning("waiting for cluesd, which gives the cluster its UUID at its first start")
            told = True
        stopping.wait(_LOOK_SECONDS)
    return ""


def _cluster(places: Places) -> str:
    try:
        return str(uuid.UUID((places.state / "cluster-id").read_text(encoding="ascii").strip()))
    except FileNotFoundError:
        return ""
    except PermissionError:
        pass  # the inventory, which everybody may read, has it as well
    except (OSError, ValueError) as error:
        raise ConfigError(f"{places.state}/cluster-id: is not a UUID: restore it from a backup") from error
    try:
        return Reader(places.inventory).read().cluster
    except ConfigError:
        return ""


def _private_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error
    if found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{path}: has to be ours alone: chmod 0700, and chown to the user of clues-signer")


def _users() -> dict[str, int]:
    """Return the user ids of those that may call; a user that this machine does not have is left out."""
    return {name: user for name in set(CALLERS.values()) for user in users_named(name)}


if __name__ == "__main__":
    sys.exit(main())
