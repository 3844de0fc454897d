"""The main job, shown: a cluster grows from nothing for real jobs on a real Slurm, and shrinks to nothing again."""
