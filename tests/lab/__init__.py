"""The lab: a private Slurm on this machine, inside the sandbox, for the demo, the real tests and the benchmarks."""
