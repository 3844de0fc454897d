"""Local resource managers: each reads one batch system's jobs and nodes, and opens and closes the nodes.

An LRMS implements `clues.ports.Lrms`; Slurm is the one that exists.
"""
