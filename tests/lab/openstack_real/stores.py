"""What the services stand on: a folder in memory, MariaDB and RabbitMQ, whose files lie in it.

MariaDB listens at a UNIX socket alone, in a folder that only we may enter, and asks nobody for a password there.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.frontend import LabError
from tests.lab.openstack_real.service import Service

RABBIT_USER = "openstack"
_PREFIX = "clues-os-"


class Memory:
    """A folder in memory. What a process that was killed has left of one, the next that makes one takes away."""

    def __init__(self, parent: Path = Path("/dev/shm")) -> None:
        for old in parent.glob(f"{_PREFIX}*"):
            _sweep(old)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = (self.path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # the kernel frees it when we end, however that is

    def close(self) -> None:
        """Take it away; repeating it is harmless."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _sweep(old: Path) -> None:
    """Take a folder away that nobody holds; one that is being made has no lock yet, and stays."""
    try:
        with (old / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    except OSError:
        return  # it is in use, somebody else's, or gone


class Database:
    """A MariaDB in *folder* (short: the path of a UNIX socket has 107 bytes), its files in ``data`` there."""

    def __init__(self, folder: Path, logs: Path, env: dict[str, str]) -> None:
        self.data, self.socket = folder / "data", folder / "db.sock"
        self._env = env
        words = [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={folder}/db.pid",
            "--skip-networking",
            "--skip-grant-tables",
            "--skip-log-bin",
            "--default-time-zone=+00:00",
            "--performance-schema=OFF",
            "--max-connections=500",
            # it need not survive a loss of power, and its frozen files shall be small
            "--innodb-flush-method=nosync",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=128M",
        ]
        self.service = Service("mariadb", words, logs, env)

    def create(self) -> None:
        """Make an empty one."""
        words = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={self.data}", "--skip-test-db"]
        run([*words, "--auth-root-authentication-method=normal"], self._env, 120)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.service.start()
        self.service.wait(60, self._answers)

    def stop(self) -> None:
        """Let it write all that it has and end."""
        run(["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "shutdown"], self._env, 60)
        self.service.wait_end(60)

    def sql(self, text: str, database: str = "") -> str:
        """Run statements as root; what they return, tabs between columns.

        :raises LabError: with what MariaDB said.
        """
        words = ["mariadb", "--no-defaults", f"--socket={self.socket}", "--batch", "--skip-column-names"]
        return run([*words, *([database] if database else [])], self._env, 60, text)

    def url(self, database: str) -> str:
        """Return the address of a database, as SQLAlchemy has it."""
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={self.socket}&charset=utf8mb4"

    def _answers(self) -> bool:
        words = ["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "ping"]
        return subprocess.run(words, capture_output=True, env=self._env, check=False).returncode == 0


def rabbit(folder: Path, logs: Path, env: dict[str, str], password: str, ports: tuple[int, int, int]) -> Service:
    """Return a RabbitMQ in *folder*, not started.

    :param ports: where it serves, where nodes would talk to it, and that of Erlang's port mapper.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    port, peers, mapper = ports
    config = folder / "rabbitmq.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"listeners.tcp.default = 127.0.0.1:{port}\n"
        f"default_user = {RABBIT_USER}\ndefault_pass = {password}\n"
        "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 50MB\n"
    )
    (folder / "plugins").write_text("[].\n")
    settings = {
        "HOME": str(folder),  # its cookie lies here
        # the server itself instead of a shell that waits for it
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": "openstack@localhost",
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(peers),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    return Service("rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], logs, {**env, **settings}, port)


def run(words: list[str], env: dict[str, str], timeout: float, text: str = "") -> str:
    """Run a program to its end; what it printed.

    :raises LabError: with what it said.
    """
    try:
        whole = ["setpriv", "--pdeathsig", "KILL", "--", *words]
        done = subprocess.run(whole, input=text, capture_output=True, text=True, env=env, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"{words[0]} took more than {timeout:g} s") from None
    if done.returncode:
        raise LabError(f"{' '.join(words[:3])}: exit {done.returncode}: {(done.stderr or done.stdout)[-3000:]}")
    return done.stdout
