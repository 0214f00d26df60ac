"""State of agents: the registry, their versions and overrides, their executions."""

from agents.models.agent import Agent, AgentVersion
from agents.models.execution import (
    AgentExecution,
    ExecutionReplay,
    ExecutionStep,
    StepOutput,
)
from agents.models.override import AgentOverride, AgentOverrideRevision

__all__ = [
    "Agent",
    "AgentExecution",
    "AgentOverride",
    "AgentOverrideRevision",
    "AgentVersion",
    "ExecutionReplay",
    "ExecutionStep",
    "StepOutput",
]
