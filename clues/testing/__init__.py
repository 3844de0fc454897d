"""Contract suites: what every implementation of a port has to keep, for plugins here and elsewhere.

A suite is a class of pytest tests. Inherit from it in a test module, and give it the fixture that it asks for.
"""
