"""The ledger: what was intended, what happened, what was learnt. Nothing is done that is not committed here first."""

from clues.ledger.orders import Receipt
from clues.ledger.store import Commit, Ledger, SpendKey, open_ledger

__all__ = ["Commit", "Ledger", "Receipt", "SpendKey", "open_ledger"]
