"""OpenNebula 5.12 to 7.x over XML-RPC.

`driver.py` is a libcloud driver, with `xmlrpc.py` and `records.py` fit to stand without clues. `connector.py` makes a
connector of it; beside it the tables and rules: `states.py`, `failures.py`, `order.py` (what is put over a template),
`catalogue.py` (what names mean), `quota.py`, `prices.py`, `examine.py` (for `clues doctor`).
"""

from connectors.opennebula.plugin import PLUGIN

__all__ = ["PLUGIN"]
