"""Tests of `./dev demo` as a user runs it: a process of its own, outside any sandbox."""
