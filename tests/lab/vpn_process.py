"""The central point or its broker as a process, with settings from the command line instead of a configuration file."""

from __future__ import annotations

import json
import logging
import sys
from ipaddress import IPv4Network
from pathlib import Path

from clues.places import Places
from vrouter.broker.main import serve
from vrouter.hub.main import become
from vrouter.hub.settings import HubSettings


def main() -> None:
    """Run ``hub`` or ``broker``; the second word has the settings as JSON."""
    what, text = sys.argv[1:]
    raw = json.loads(text)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = HubSettings(
        cluster=raw["cluster"],
        places=Places(Path(raw["state"]), Path(raw["socket"])),
        name=raw["name"],
        port=raw["port"],
        network=IPv4Network(raw["network"]),
        transit=IPv4Network(raw["transit"]),
        services=tuple((protocol, first, last) for protocol, first, last in raw["services"]),
        number=raw["number"],
        renegotiate=raw["renegotiate"],
        exports=raw["exports"],
    )
    {"hub": become, "broker": serve}[what](settings)


if __name__ == "__main__":
    main()
