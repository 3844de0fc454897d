"""An emulated site and the connector to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.model import Instance
from clues.ports import PluginContext
from connectors.opennebula.connector import OpenNebulaConnector
from connectors.opennebula.plugin import PLUGIN
from tests.lab.opennebula import Emulator
from tests.unit.opennebula.orders import CLUSTER

PASSWORD = "s3cret:with colon"


class Site:
    """An emulator and what is needed to speak to it."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.emulator, self.cloud = emulator, emulator.cloud
        self.file = folder / "one_auth"
        self.file.touch(mode=0o600)
        self.file.write_text(f"clues:{PASSWORD}\n")

    def connect(self, *, boot_patience: float = 5.0, **given: Any) -> OpenNebulaConnector:
        """Return a connector."""
        own = {"endpoint": self.emulator.url + "/RPC2", "credentials": str(self.file), "calls_per_second": 1000.0}
        config = PLUGIN.Config.model_validate({**own, "vnet": "clues-net", **given})
        return OpenNebulaConnector(config, PluginContext(CLUSTER, "upv", self.file.parent), boot_patience)

    def machine(self, instance: Instance) -> Any:
        """Return a VM as the cloud has it."""
        return self.cloud.machines[int(instance.id)]
