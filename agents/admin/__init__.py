"""Console pages of agents; Django imports this module alone."""

from agents.admin import agents, executions, overrides

__all__ = ["agents", "executions", "overrides"]
