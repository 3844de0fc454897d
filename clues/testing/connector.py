"""The contract of connectors as a test module, for a connector anywhere:

    pytest --pyargs clues.testing.connector --connector mypkg:Mine

``Mine`` is the site under test, a :class:`~clues.testing.connector_site.SiteUnderTest`. It is made anew for each test,
with an empty folder as its one argument, and used as a context manager. What the provider can and cannot do is declared
by class attributes with the names of those of the suite (``QUOTA_VMS = 4``). If it has the members of a
:class:`~clues.testing.wire_contract.WireSite` too, the contract on the wire is run, else the common part of it.
"""

from __future__ import annotations

from clues.testing.plugin import Chosen
from clues.testing.suite import load, suite_for

TestConnector = suite_for(load(Chosen.spec, Chosen.folder))
