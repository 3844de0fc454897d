"""The broker: answers for the central point who may connect, and cuts off who no longer may.

It is small, has no state of its own and outlives cluesd: all that it goes by is the committed inventory.
"""
