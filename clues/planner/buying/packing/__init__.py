"""Which nodes to buy for what is lacking: the least cost per hour for all of it, instead of job by job.

It knows neither Slurm nor clouds: vectors of resources, prices and limits come in, nodes with what lies on them go
out. ``problem.py`` has the words, ``filling.py`` lays tasks on one node, ``shadow.py`` finds what each task should
cost at most, ``rounding.py`` makes whole nodes of that, ``gangs.py`` places what needs several nodes at once, and
``pack.py`` puts them together, highest priority first where not everything can be had.
"""

from clues.planner.buying.packing.pack import pack
from clues.planner.buying.packing.problem import Packing, Problem, Source, Unit, Vector, Wanted

__all__ = ["Packing", "Problem", "Source", "Unit", "Vector", "Wanted", "pack"]
