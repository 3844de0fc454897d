"""`clues top`: the cluster live in a terminal, by keys.

`picture.py` holds what the daemon has told, `screen.py` what is shown of it and what keys do (no I/O), `keys.py` what a
terminal sends for a key, `live.py` the terminal itself.
"""
