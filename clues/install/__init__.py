"""`clues install` and `clues uninstall`: what makes services of the programs on a front-end, put and taken away.

`wanted.py` says which files there shall be, `changes.py` compares that with what is there, `manifest.py` remembers what
was put, so that nothing else is ever taken away, `slurm.py` knows Slurm's part, `command.py` tells and does it all.
"""
