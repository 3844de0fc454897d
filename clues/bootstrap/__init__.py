"""A VM's first minutes: the user-data it boots with, its ticket, and the front that lets it in.

The front (:mod:`clues.bootstrap.main`) is a process of its own: it knows the signer and the inventory, not the core.
"""
