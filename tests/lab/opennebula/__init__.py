"""OpenNebula's front-end as its clients see it, for tests: a stateful XML-RPC server on loopback.

Written from what was measured on OpenNebula 6.10 and 7.4 (dummy drivers), before the connector was: it has the calls
that the connector makes and no more, and is strict about them. `tests/unit/opennebula/test_emulator*.py` hold it to
what was measured, line by line.

`server.py` is HTTP and XML-RPC, `calls.py` the calls, `cloud.py` what they act upon, `instantiate.py` how a VM comes to
be, `machine.py` how it lives and ends, `template.py` the language of attributes, `objects.py` how things look as XML.
"""

from tests.lab.opennebula.cloud import Cloud
from tests.lab.opennebula.server import Emulator

__all__ = ["Cloud", "Emulator"]
