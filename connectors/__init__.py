"""Connectors: each makes, lists and ends VMs at one kind of provider.

A connector implements `clues.ports.Connector`, classifies its provider's errors in one table, and decides
nothing.
"""
