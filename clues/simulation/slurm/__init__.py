"""The simulated Slurm: its controller, its queue, and the port through which the daemon speaks to it."""
