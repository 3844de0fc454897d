"""These tests take minutes and programs of their own: they run where their file is named, and only there."""

collect_ignore_glob = ["test_*_real.py"]
