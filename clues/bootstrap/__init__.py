"""A VM's first minutes: the user-data it boots with, its ticket, and the service that redeems the ticket.

Nothing in here knows the core: the service speaks to a `clues.ports.Desk` and could be a process of its own.
"""
