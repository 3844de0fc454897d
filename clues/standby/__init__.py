"""Two front-ends, of which one is active: a lease in a folder that both see, and what the next active one has to know.

`lease.py` decides, and is pure; `keeper.py` holds the lease, `waiting.py` waits for it; `copies.py` and `restoring.py`
move the ledger.
"""
