"""Routes of agents: the registry, versions, overrides, executions."""
