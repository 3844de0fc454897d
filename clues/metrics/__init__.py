"""What Prometheus is told: a picture of the last tick, and counts of what has happened since the daemon started.

The picture is read when somebody asks (:mod:`clues.metrics.picture`), so that nothing has to be kept in step with it.
What a picture cannot show, how often and how long, is counted when it happens (:class:`Meter`). No label holds a job, a
user or an address: their number is bounded by the configuration.
"""

from clues.metrics.calls import metered
from clues.metrics.exposition import Exposition
from clues.metrics.meter import Meter

__all__ = ["Exposition", "Meter", "metered"]
