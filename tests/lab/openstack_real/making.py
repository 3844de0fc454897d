"""How an empty cloud comes to be, once: tables, users, flavors, a network; then all of it is frozen into one file.

Nothing is frozen that nova-compute has ever reported from: the fake driver gives its host a new identity at each start,
and nova refuses a host that has lost its old one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.openstack_real import seed
from tests.lab.openstack_real.install import CACHE, HERE, say
from tests.lab.openstack_real.layout import APIS, DATABASES, Layout
from tests.lab.openstack_real.stores import run

#: What is frozen of a cloud's folder, beside its database.
KEPT = ("keystone", "glance", "nova", "secrets.json", "seeded.json")
_SLOW = 600.0


def frozen_file() -> Path:
    """Return where the frozen cloud is, or would be; its name stands for everything that decides what is in it."""
    digest = hashlib.sha256()
    sources = [HERE / name for name in ("seed.py", "making.py", "layout.py", "stores.py", "requirements.txt")]
    for path in [*sources, *sorted((HERE / "etc").iterdir())]:
        digest.update(path.read_bytes())
    return CACHE / f"frozen-{digest.hexdigest()[:16]}.tar.gz"


def make(folder: Path, frozen: Path, wait: Callable[[Layout, str], None]) -> None:
    """Make an empty cloud in *folder*, fill it, and freeze it.

    :param wait: returns when a service serves.
    """
    say("making the databases (a minute or two, once)")
    names = ("service", "rabbit", "admin", "user", "application")
    layout = Layout(folder, {name: secrets.token_hex(16) for name in names})
    try:
        layout.write_private("secrets.json", json.dumps(layout.passwords))
        layout.database.create()
        layout.database.start()
        layout.database.sql("".join(f"CREATE DATABASE {name} CHARACTER SET utf8mb4;" for name in DATABASES))
        _migrate(layout)
        say("filling the cloud")
        for name in ("rabbitmq", *APIS):
            layout.services[name].start()
        wait(layout, "keystone")
        seed.people(layout.admin, layout.passwords)
        seed.catalogue(layout.admin, layout.urls)
        layout.database.sql(seed.AGENT, "neutron")
        layout.database.sql(seed.HOST, "nova_api")
        for name in ("rabbitmq", *APIS):
            wait(layout, name)
        seeded = seed.things(layout.admin, layout.user, layout.passwords["application"])
        layout.write_private("seeded.json", seeded.to_json())
        for name in ("rabbitmq", *APIS):
            layout.services[name].kill()
        layout.database.stop()
        _freeze(layout, frozen)
    finally:
        layout.close()


def _migrate(layout: Layout) -> None:
    """Make all tables; three lines of commands side by side."""
    keystone, nova = layout.program("keystone", "keystone-manage"), layout.program("nova", "nova-manage")
    owner = ["--keystone-user", "root", "--keystone-group", "root"]
    url = layout.database.url
    lines = [
        [
            ("keystone", [*keystone, "db_sync"]),
            ("keystone", [*keystone, "fernet_setup", *owner]),
            ("keystone", [*keystone, "credential_setup", *owner]),
            ("keystone", [*keystone, "bootstrap", "--bootstrap-region-id", seed.REGION]),
            ("placement", [*layout.program("placement", "placement-manage"), "db", "sync"]),
            ("glance", [*layout.program("glance", "glance-manage"), "db_sync"]),
        ],
        [
            ("nova", [*nova, "api_db", "sync"]),
            ("nova", [*nova, "cell_v2", "map_cell0", "--database_connection", url("nova_cell0")]),
            ("nova", [*nova, "db", "sync"]),
            ("nova", [*nova, "cell_v2", "create_cell", "--name", "cell1", "--database_connection", url("nova")]),
        ],
        [("neutron", [*layout.program("neutron", "neutron-db-manage"), "upgrade", "heads"])],
    ]

    def follow(line: list[tuple[str, list[str]]]) -> None:
        for project, words in line:
            run(["nice", "-n", "10", *words], layout.env(project), _SLOW)

    with ThreadPoolExecutor(len(lines)) as threads:
        list(threads.map(follow, lines))


def _freeze(layout: Layout, frozen: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=CACHE, prefix=".frozen-", delete=False) as new:  # only we can read it
        with tarfile.open(fileobj=new, mode="w:gz", compresslevel=3) as archive:
            archive.add(layout.database.data, "data")
            for name in KEPT:
                archive.add(layout.folder / name, name)
        Path(new.name).replace(frozen)
    for old in CACHE.glob("frozen-*.tar.gz"):
        if old != frozen:
            old.unlink()
