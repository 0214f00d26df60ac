"""Verbs of direct runs: begin one, look at it, give it up."""
