"""The core: it watches Slurm, decides what the cluster needs, and sees to it that exactly that runs.

What it asks of the outside stands in `ports/`; plugins answer, and only `main.py` puts the two together.
"""

__version__ = "0.1.0"
