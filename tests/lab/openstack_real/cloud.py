"""The cloud's life: thawed, its services started side by side, and all ended at the end.

What changes from start to start is what others have to agree on: ports, which are chosen free each time, so the rows
that name them are written anew.
"""

from __future__ import annotations

import json
import tarfile
import time
from pathlib import Path
from string import Template
from types import TracebackType
from typing import IO

from tests.lab.frontend import LabError
from tests.lab.openstack_real import seed
from tests.lab.openstack_real.api import Api, ready
from tests.lab.openstack_real.install import say, what_is_missing
from tests.lab.openstack_real.layout import AGENTS, APIS, Layout
from tests.lab.openstack_real.making import frozen_file, make
from tests.lab.openstack_real.service import Service

_SLOW = 300.0


class OpenStack:
    """A cloud in *folder*; its database lies in memory, in a folder of its own. A context manager."""

    def __init__(self, folder: Path) -> None:
        if missing := what_is_missing():
            raise LabError(f"{missing}: run `python -m tests.lab.openstack_real install`, outside of the sandbox")
        self.folder = folder.resolve()
        self.clouds_yaml = self.folder / "clouds.yaml"
        self._layout: Layout | None = None
        self._seeded: seed.Seeded | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> OpenStack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until a server could be made; the first time, make what is frozen.

        :raises LabError: with the end of the log of what did not start.
        """
        began = time.monotonic()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        frozen = frozen_file()
        if not frozen.exists():
            make(self.folder, frozen, _wait)
        say("starting OpenStack from its frozen databases")
        with tarfile.open(frozen) as archive:
            layout = self._layout = Layout(self.folder, json.loads(_file(archive, "secrets.json").read()))
            self._seeded = seed.Seeded.from_json(_file(archive, "seeded.json").read().decode())
            for member in archive:
                archive.extract(member, layout.memory if member.name.startswith("data") else self.folder)
        layout.services["rabbitmq"].start()
        layout.database.start()
        layout.database.sql(_rows_that_name_ports(layout))
        for name in APIS:
            layout.services[name].start()
        # these need their queues, and give up on them for many seconds where they find none at first
        layout.services["rabbitmq"].wait(_SLOW)
        for name in AGENTS:
            layout.services[name].start()
        for name in (*APIS, *AGENTS):
            _wait(layout, name)
        seed.clouds_yaml(layout.write_private, self.urls["identity"], self.seeded, layout.passwords)
        say(f"OpenStack serves after {time.monotonic() - began:.0f} s: {self.clouds_yaml}")

    def stop(self) -> None:
        """End every process, and take the database out of memory. Repeating it is harmless."""
        if self._layout is not None:
            self._layout.close()
            self._layout = None

    # --- what a test asks it, and does to it ----------------------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """What runs.

        :raises LabError: nothing does.
        """
        if self._layout is None:
            raise LabError("the cloud is not up")
        return self._layout

    @property
    def seeded(self) -> seed.Seeded:
        """What it was filled with."""
        if self._seeded is None:
            raise LabError("the cloud is not up")
        return self._seeded

    @property
    def urls(self) -> dict[str, str]:
        """The address of each service, by its type."""
        return self.layout.urls

    @property
    def admin(self) -> Api:
        """The cloud's administrator."""
        return self.layout.admin

    @property
    def user(self) -> Api:
        """The user that clues is, in its project."""
        return self.layout.user

    def log(self, name: str) -> str:
        """The end of a service's log."""
        return self._service(name).log()

    def kill(self, name: str) -> None:
        """Pull the plug of one service: ``nova``, ``keystone``, ``nova-compute``, ..."""
        self._service(name).kill()

    def restart(self, name: str) -> None:
        """Start one service again, and wait until it serves."""
        self._service(name).start()
        _wait(self.layout, name)

    def enable_hypervisor(self, enabled: bool) -> None:
        """Let nova put servers on its one hypervisor, or on none."""
        found = self.admin.get("compute", "/os-services?binary=nova-compute")["services"]
        status = {"status": "enabled" if enabled else "disabled"}
        self.admin.put("compute", f"/os-services/{found[0]['id']}", status)

    def set_quota(self, **limits: int) -> None:
        """Change the project's quota: ``instances``, ``cores``, ``ram``; what is not named is as it was at first."""
        self.admin.put("compute", f"/os-quota-sets/{self.seeded.project}", {"quota_set": {**seed.QUOTA, **limits}})

    def _service(self, name: str) -> Service:
        return self.layout.services[name]


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise LabError(f"{archive.name!r} is not what was frozen: remove it")
    return found


#: Rows that hold addresses of this start.
_ENDPOINT = Template(
    "UPDATE keystone.endpoint e JOIN keystone.service s ON e.service_id = s.id SET e.url = '$url' "
    "WHERE s.type = '$kind';"
)
_CELL = Template(
    "UPDATE nova_api.cell_mappings SET transport_url = '$transport', database_connection = '$database' "
    "WHERE name = '$cell';"
)
_REPORTED = Template(
    "SELECT COUNT(*) FROM services WHERE `binary` = '$name' AND deleted = 0 AND last_seen_up >= FROM_UNIXTIME($since)"
)


def _rows_that_name_ports(layout: Layout) -> str:
    url = layout.database.url
    lines = [_ENDPOINT.substitute(url=address, kind=kind) for kind, address in layout.urls.items()]
    lines.append(_CELL.substitute(transport="none:///", database=url("nova_cell0"), cell="cell0"))
    lines.append(_CELL.substitute(transport=layout.transport, database=url("nova"), cell="cell1"))
    return "\n".join(lines)


def _wait(layout: Layout, name: str) -> None:
    """Wait until a service not only listens but answers, or has reported since it was started."""
    admin, service = layout.admin, layout.services[name]
    asks = {
        "keystone": admin.login,
        "placement": lambda: admin.get("placement", "/"),
        "glance": lambda: admin.get("image", "/v2/images?limit=1"),
        "neutron": lambda: admin.get("network", "/v2.0/networks?limit=1"),
        "nova": lambda: admin.get("compute", "/flavors?limit=1"),
    }
    if name in asks:
        service.wait(_SLOW, ready(asks[name]))
    elif name in AGENTS:
        service.wait(_SLOW, lambda: _reports(layout, service))
    else:
        service.wait(_SLOW)


def _reports(layout: Layout, service: Service) -> bool:
    """Whether one of nova's agents has told of itself since it was started."""
    question = _REPORTED.substitute(name=service.name, since=int(service.started_at))
    rows = layout.database.sql(question, "nova")
    if int(rows) == 0:
        time.sleep(0.5)
    return int(rows) > 0
