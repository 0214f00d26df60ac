"""State of agents: the registry, their versions, their executions."""

from agents.models.agent import Agent, AgentVersion
from agents.models.execution import AgentExecution, ExecutionStep

__all__ = ["Agent", "AgentExecution", "AgentVersion", "ExecutionStep"]
