"""``clues-hub``: gets the central point's certificate, writes OpenVPN's configuration, and becomes OpenVPN.

A small companion process stays beside it. It renews the certificate, also when other authorities are to be trusted,
and has OpenVPN start over with the new one (SIGUSR1); the interface stays, and clients are told to come again.
It ends with OpenVPN.
"""

from __future__ import annotations

import argparse
import logging
import os
import pwd
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from clues.config import DEFAULT_FILE
from clues.errors import CluesError, ConfigError, Transient
from vrouter.hub import credentials
from vrouter.hub.config import render
from vrouter.hub.reading import settings_when_known
from vrouter.hub.settings import HubSettings

log = logging.getLogger(__name__)

#: seconds between attempts while the signer does not answer, and between looks whether a renewal is due
RETRY = 1.0
LOOK = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``clues-hub``; return 1 when it cannot start. It does not return otherwise."""
    parser = argparse.ArgumentParser(
        prog="clues-hub",
        description="The overlay's central point: an OpenVPN server that asks clues-broker whom to let in.",
        epilog="SIGTERM ends it and all tunnels; routers come back by themselves once it runs again.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--name", default="", help="which central point, where the configuration has several")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        become(settings_when_known(arguments.config, arguments.name, time.sleep))
    except (CluesError, OSError) as error:
        print(f"clues-hub: {error}", file=sys.stderr)
    return 1


def become(settings: HubSettings) -> None:
    """Turn this process into the OpenVPN of a central point.

    :raises CluesError: the signer refuses, or there is no OpenVPN here.
    :raises OSError: the files cannot be written.
    """
    program = shutil.which("openvpn", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise ConfigError("there is no program openvpn here: install OpenVPN 2.6")
    os.umask(0o077)
    due = _prepare(settings)
    configuration = settings.folder / "hub.conf"
    text = render(settings, pwd.getpwuid(os.geteuid()).pw_name)
    credentials.replace(configuration, text.encode(), 0o600)
    openvpn = os.getpid()
    if os.fork() == 0:
        _accompany(settings, openvpn, due)
    os.execv(program, [program, "--config", str(configuration)])  # noqa: S606 - that is what it is for


def _prepare(settings: HubSettings) -> datetime:
    """Return when the certificate is to be renewed, once there is one and the list of revoked ones."""
    told = ""
    while True:
        try:
            due = credentials.fetch(settings)
            if settings.places.crl.exists():
                return due
            trouble = f"waits for the revocation list {settings.places.crl}"
        except Transient as error:
            trouble = f"waits for clues-signer: {error}"
        if trouble != told:
            log.warning("%s", trouble)
            told = trouble
        time.sleep(RETRY)


def _accompany(settings: HubSettings, openvpn: int, due: datetime) -> None:
    """Renew while OpenVPN lives, then end."""
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)
    told = ""
    while os.getppid() == openvpn:
        try:
            if datetime.now(UTC) >= due or credentials.trusted_changed(settings):
                due = credentials.fetch(settings)
                os.kill(openvpn, signal.SIGUSR1)
                log.info("the central point has a new certificate")
            told = ""
        except (CluesError, OSError) as error:
            if str(error) != told:
                log.warning("the certificate cannot be renewed yet: %s", error)
                told = str(error)
            time.sleep(RETRY * 10)
        time.sleep(LOOK)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
