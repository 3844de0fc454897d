"""Figures that anybody can measure again: `./dev bench NAME [--json]`."""
