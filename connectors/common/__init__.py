"""What all connectors to real clouds share: one way to speak, to fail, to wait, to tag, and to launch once.

A connector on apache-libcloud is a small class on top of :class:`~connectors.common.cloud.CloudConnector`; it says
how its provider lists, makes and ends one VM, and brings a table of what its provider's errors mean.
"""
