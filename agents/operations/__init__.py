"""Verbs of agents: configure them, run one, record what happened."""
