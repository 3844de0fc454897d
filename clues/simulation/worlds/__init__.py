"""Kinds of worlds, as values: a small cluster, its clouds, its jobs and what may go wrong there."""
