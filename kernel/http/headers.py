"""Header values that more than one module writes; imports nothing, because DRF loads it early."""

from typing import Final

CHALLENGE: Final = 'Bearer realm="agent-hub"'  # RFC 9110: every 401 carries one
