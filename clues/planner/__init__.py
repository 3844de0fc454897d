"""The pure core: what to buy, where, what to open, what to let go. No I/O, no clock, no threads, no chance.

``decide(world, settings, now) -> Plan`` is the contract; ``learn_error`` and the functions of ``outcomes`` take in what
comes from outside between two decisions.
"""

from clues.planner.capacity.breaker import learn_answer, learn_error, learn_failure, learn_success
from clues.planner.claims.outcomes import (
    after_enrolment,
    after_last_word,
    after_launch,
    after_notice,
    after_termination,
)
from clues.planner.decide import decide

__all__ = [
    "after_enrolment",
    "after_last_word",
    "after_launch",
    "after_notice",
    "after_termination",
    "decide",
    "learn_answer",
    "learn_error",
    "learn_failure",
    "learn_success",
]
