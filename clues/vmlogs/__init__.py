"""What a VM has written while it booted: the end of its console, by its provider, or its boot log, by SSH.

It is shown to people, and nothing is decided by it. What a VM writes is a stranger's text, and may hold secrets.
"""
