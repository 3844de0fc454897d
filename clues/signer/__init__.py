"""The signer: the one process that holds the cluster's authority and its other secrets.

It has a user of its own, speaks on a UNIX socket only, and gives each thing for a claim that cluesd expects now, to one
key, for its kind. It goes on renewing and revoking while cluesd is down, by the inventory.
"""
