"""Verbs of dead letters."""
