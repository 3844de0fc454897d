"""Slurm as the batch system: one snapshot a tick, commands that may be repeated, and the configuration of the pools.

What it reads of jobs is chosen so that no user can forge a record; see :mod:`lrms.slurm.jobs`.
"""

from lrms.slurm.plugin import PLUGIN

__all__ = ["PLUGIN"]
