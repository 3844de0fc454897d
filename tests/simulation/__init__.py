"""Whole worlds with the daemon's own parts inside: faults, crashes, and broken daemons that have to be caught."""
