"""What there is too much of: which nodes are kept, which are let go, which are called back.

Read :mod:`.idle` first; the other files are one reason each to keep a node, or to let one go.
"""

from clues.planner.supply.idle import Surplus, let_go
from clues.planner.supply.lulls import learn_lulls
from clues.planner.supply.telling import why_kept
from clues.planner.supply.wanted import unbacked
from clues.planner.supply.warm import is_kept_warm, too_few

__all__ = ["Surplus", "is_kept_warm", "learn_lulls", "let_go", "too_few", "unbacked", "why_kept"]
