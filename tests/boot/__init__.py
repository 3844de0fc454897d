"""clues under a real systemd: a container with an init of its own, made of this machine's files (`container.py`)."""
