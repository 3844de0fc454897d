"""A front-end whose Slurm keeps accounting: slurmdbd, and a MariaDB of its own in the sandbox's private /run."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.frontend import FrontEnd, _end, free_port, wait_for

#: Where libmariadb looks for "localhost"; private to the sandbox.
_SOCKET = Path("/run/mysqld/mysqld.sock")


class AccountingFrontEnd(FrontEnd):
    """A :class:`FrontEnd` with the accounts *accounts*, in which the lab's only user may run jobs."""

    def __init__(self, folder: Path, *, accounts: Sequence[str], **more: Any) -> None:
        super().__init__(folder, **more)
        self._accounts = accounts
        self._port = free_port("127.0.0.1")
        self._database: subprocess.Popen[bytes] | None = None
        self._slurmdbd: subprocess.Popen[bytes] | None = None
        self.extra_conf += (
            "AccountingStorageType=accounting_storage/slurmdbd\n"
            "AccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={self._port}\n"
            f"AccountingStoragePass={self.run_folder}/munge.sock\n"
            "AccountingStorageTRES=gres/gpu\n"
        )

    def _before_slurmctld(self, timeout: float) -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.write_configuration()
        self._start_database(timeout)
        conf = self.folder / "etc" / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f"AuthType=auth/munge\nAuthInfo=socket={self.run_folder}/munge.sock\n"
            f"CommunicationParameters=block_null_hash\nDbdHost={self.hostname}\nDbdAddr=127.0.0.1\n"
            f"DbdPort={self._port}\nSlurmUser=clues\nLogFile={self.plain}/log/slurmdbd.log\n"
            f"PidFile={self.run_folder}/slurmdbd.pid\n"
            "StorageType=accounting_storage/mysql\nStorageHost=localhost\nStorageUser=root\nStorageLoc=slurm_acct_db\n"
        )
        self._slurmdbd = self._spawn(["slurmdbd", "-D"], "slurmdbd.out")
        orders = (
            "add cluster lab",
            f"add account {','.join(self._accounts)}",
            f"add user clues account={','.join(self._accounts)} adminlevel=operator",
        )
        first = ["sacctmgr", "-n", "list", "cluster"]
        wait_for("slurmdbd", lambda: self._said(first), timeout, lambda: self.log("slurmdbd.log"))
        for order in orders:
            self.run(["sacctmgr", "-i", *order.split()])

    def _said(self, words: Sequence[str]) -> bool | None:
        return self.run(words, check=False).returncode == 0 or None

    def _start_database(self, timeout: float) -> None:
        data = Path(tempfile.mkdtemp(prefix="db-"))  # its scripts part paths at blanks
        install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db"]
        subprocess.run([*install, "--auth-root-authentication-method=normal"], capture_output=True, check=True)
        _SOCKET.parent.mkdir(exist_ok=True)
        words = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={_SOCKET}"]
        # it need not survive a loss of power
        words += ["--skip-networking", "--skip-grant-tables", "--skip-log-bin", "--innodb-flush-method=nosync"]
        words += [
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-log-file-size=16M",
            f"--pid-file={self.run_folder}/db.pid",
        ]
        with (self.folder / "log" / "mariadbd.out").open("ab") as log:
            self._database = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ping = ["mariadb-admin", "--no-defaults", f"--socket={_SOCKET}", "ping"]

        def answers() -> bool | None:
            return subprocess.run(ping, capture_output=True, check=False).returncode == 0 or None

        wait_for("the database", answers, timeout, lambda: self.log("mariadbd.out"))
        for path in (_SOCKET.parent, _SOCKET):  # slurmdbd is another user
            os.chmod(path, 0o777)  # noqa: PTH101, S103 - in the sandbox's own /run

    def stop(self, timeout: float = 15.0) -> None:
        """Stop all of it, the accounting last: slurmctld tells it what has ended."""
        super().stop(timeout)
        for process in (self._slurmdbd, self._database):
            _end(process, signal.SIGTERM, timeout)
        self._slurmdbd = self._database = None
