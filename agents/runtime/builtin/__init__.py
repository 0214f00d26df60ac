"""The tools every hub has."""

from agents.runtime.builtin.calculator import calculator
from agents.runtime.builtin.http_get import CallHost, call_at_once, http_get
from agents.runtime.tools import Tool
from kernel.outbound import OutboundPolicy


def builtin_tools(outbound: OutboundPolicy, call_host: CallHost = call_at_once) -> tuple[Tool, ...]:
    """All of them. `outbound` says which private networks `http_get` may reach, `call_host` which
    hosts it calls now."""
    return (calculator(), http_get(outbound, call_host))
