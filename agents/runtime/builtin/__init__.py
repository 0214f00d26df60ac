"""The tools every hub has."""

from agents.runtime.builtin.calculator import calculator
from agents.runtime.builtin.http_get import http_get
from agents.runtime.tools import Tool
from kernel.outbound import OutboundPolicy


def builtin_tools(outbound: OutboundPolicy) -> tuple[Tool, ...]:
    """All of them; `outbound` says which private networks `http_get` may reach."""
    return (calculator(), http_get(outbound))
