"""What is tested and how: unit (pure), contract (every port), simulation, real (a private Slurm on this machine)."""
