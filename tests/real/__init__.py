"""Tests on a real Slurm; they run inside the sandbox (see conftest.py for the command)."""
