"""Quiet time: a daemon that looks only when something may come of it, so that a year of jobs takes minutes."""
