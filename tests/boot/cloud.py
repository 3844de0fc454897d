"""The cloud of the container: OpenNebula's emulator as a service that outlives cluesd, and tells what it has.

``python cloud.py PORT FILE``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.machine import DONE


def main() -> None:
    """Serve until it is ended."""
    port, told = int(sys.argv[1]), Path(sys.argv[2])
    with Emulator(Cloud(pace=0.1), port) as emulator:
        while True:
            with emulator.cloud.lock:
                alive = [one.id for one in emulator.cloud.machines.values() if one.where[0] != DONE]
            asked = sum(1 for method, _ in list(emulator.calls) if method == "one.template.instantiate")
            new = told.with_suffix(".new")
            new.write_text(json.dumps({"alive": sorted(alive), "asked": asked}))
            new.replace(told)
            time.sleep(0.1)


if __name__ == "__main__":
    main()
