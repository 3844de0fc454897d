"""Which nodes to buy for what is lacking: the least cost per hour for all of it, instead of job by job.

It knows neither Slurm nor clouds: vectors of resources, prices and limits come in, nodes with what lies on them go
out. ``problem.py`` has the words, ``fitting.py`` says what fits where. ``filling.py`` and ``search.py`` lay tasks on a
node, ``shadow.py`` finds what each task should cost at most, ``rounding.py`` makes whole nodes of that and ``lots.py``
chooses between ways to do so, ``gangs.py`` says where gangs go and which nodes each has. ``attempt.py`` is one try at
all of it, and ``pack.py`` makes as many as are worth their time, highest priority first where not everything can be
had.
"""

from clues.planner.buying.packing.pack import pack
from clues.planner.buying.packing.problem import Packing, Problem, Source, Unit, Vector, Wanted

__all__ = ["Packing", "Problem", "Source", "Unit", "Vector", "Wanted", "pack"]
