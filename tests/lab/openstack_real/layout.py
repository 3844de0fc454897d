"""Everything of one cloud that is there before anything runs: folders, ports, passwords, configuration, services."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from tests.lab.openstack_real import seed
from tests.lab.openstack_real.api import Api
from tests.lab.openstack_real.install import HERE, VENV
from tests.lab.openstack_real.service import Ports, Service
from tests.lab.openstack_real.stores import RABBIT_USER, Database, Memory, rabbit

DATABASES = ("keystone", "nova_api", "nova", "nova_cell0", "neutron", "glance", "placement")
#: What uwsgi loads (a module, or a file of ours) and how many requests are answered at a time, for each API.
APIS = {
    "keystone": ("keystone.wsgi.api", 2),
    "placement": ("placement.wsgi.api", 1),
    "glance": ("glance.wsgi.api", 1),
    "neutron": ("neutron-api.wsgi", 2),
    "nova": ("nova.wsgi.osapi_compute", 2),
}
AGENTS = ("nova-conductor", "nova-scheduler", "nova-compute")
#: Every folder of a cloud below its own, apart from the logs.
_FOLDERS = ("etc", "nova", "neutron", "keystone", "glance")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Nothing of the caller's: no proxy, no settings of another cloud.
_ENVIRONMENT = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"}


class Layout:
    """A cloud in *folder*, with its database and its broker in a folder in memory. Close it at the end."""

    def __init__(self, folder: Path, passwords: Mapping[str, str]) -> None:
        """:param passwords: ``service``, ``rabbit``, ``admin``, ``user``, ``application``."""
        self.folder, self.passwords, self.logs = folder, passwords, folder / "log"
        for name in _FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)  # another cloud's
        for name in ("etc/providers", "log", "nova/lock", "nova/instances", "neutron/lock", "keystone"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("images", "staging", "tasks"):
            (folder / "glance" / name).mkdir(parents=True)
        folder.chmod(0o700)
        ports = Ports()
        self.ports = {name: ports.take() for name in (*APIS, "rabbit")}
        self.urls = {kind: f"http://127.0.0.1:{self.ports[name]}{rest}" for name, (kind, rest) in seed.SERVICES.items()}
        self.admin = Api(self.urls, "admin", passwords["admin"], "admin")
        self.user = Api(self.urls, "clues", passwords["user"], "clues")
        self._memory = Memory()
        self.memory = self._memory.path
        self.database = Database(self.memory, self.logs, _ENVIRONMENT)
        brokers = (self.ports["rabbit"], ports.take(), ports.take())
        self.services = {
            "mariadb": self.database.service,
            "rabbitmq": rabbit(self.memory / "rabbit", self.logs, _ENVIRONMENT, passwords["rabbit"], brokers),
        }
        self._write_configuration()
        for name, (module, processes) in APIS.items():
            words = _uwsgi(module, self.ports[name], processes)
            self.services[name] = Service(name, words, self.logs, self.env(name), self.ports[name])
        for name in AGENTS:
            self.services[name] = Service(name, self.program("nova", name), self.logs, self.env("nova"))

    def close(self) -> None:
        """End every process, and take the database out of memory. Repeating it is harmless."""
        for service in reversed(self.services.values()):
            service.kill()
        self._memory.close()

    @property
    def transport(self) -> str:
        """The broker's address, with the password."""
        return f"rabbit://{RABBIT_USER}:{self.passwords['rabbit']}@127.0.0.1:{self.ports['rabbit']}/"

    def program(self, project: str, name: str) -> list[str]:
        """Return the words that start a program of one project with its configuration."""
        (config,) = (self.folder / "etc" / project).glob("*.conf")
        return [str(VENV / "bin" / name), "--config-file", str(config)]

    def env(self, project: str) -> dict[str, str]:
        """Return the environment in which a project's programs find their configuration."""
        found = {**_ENVIRONMENT, f"OS_{project.upper()}_CONFIG_DIR": str(self.folder / "etc" / project)}
        match project:
            case "nova":
                found["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
            case "neutron":
                found["OS_NEUTRON_CONFIG_FILES"] = "neutron.conf"
            case "keystone":
                found["OS_BOOTSTRAP_PASSWORD"] = self.passwords["admin"]
                for interface in ("PUBLIC", "INTERNAL", "ADMIN"):
                    found[f"OS_BOOTSTRAP_{interface}_URL"] = self.urls["identity"]
            case _:
                pass
        return found

    def write_private(self, name: str, text: str) -> Path:
        """Write a file below the folder that only we can read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def _write_configuration(self) -> None:
        values = {
            "folder": str(self.folder),
            "venv": str(VENV),
            "transport": self.transport,
            "service_password": self.passwords["service"],
            "keystone_url": f"http://127.0.0.1:{self.ports['keystone']}",
            **{f"db_{name}": self.database.url(name) for name in DATABASES},
        }
        for name in APIS:
            (self.folder / "etc" / name).mkdir()
            for source in (HERE / "etc").glob(f"{name}*.conf"):
                text = Template(source.read_text(encoding="utf-8")).substitute(values)
                self.write_private(f"etc/{name}/{source.name}", text)
        shutil.copyfile(HERE / "etc" / "gpus.yaml", self.folder / "etc" / "providers" / "gpus.yaml")
        shutil.copyfile(VENV / "etc" / "nova" / "api-paste.ini", self.folder / "etc" / "nova" / "api-paste.ini")


def _uwsgi(module: str, port: int, processes: int) -> list[str]:
    words = ["uwsgi-core", "--plugins-dir", "/usr/lib/uwsgi/plugins", "--plugin", "python3", "--virtualenv", str(VENV)]
    ours = HERE / "etc" / module
    words += ["--wsgi-file", str(ours)] if ours.exists() else ["--module", module]
    words += ["--http-socket", f"127.0.0.1:{port}", "--need-app", "--master", "--lazy-apps"]
    words += ["--processes", str(processes), "--enable-threads", "--buffer-size", "65535", "--disable-logging"]
    # without this word clients that keep connections find them reset
    return [*words, "--add-header", "Connection: close", "--listen", "100"]
