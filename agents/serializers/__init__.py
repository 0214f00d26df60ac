"""Wire shapes of agents: the registry, overrides, executions."""
