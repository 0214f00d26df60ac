"""Verbs of memory: people and agents write, change and forget."""
