"""A plugin of pytest: the mutant that the environment names in MUTANT is what is tested."""

from __future__ import annotations

import os

from tests.simulation.mutants import install

install(os.environ["MUTANT"])
