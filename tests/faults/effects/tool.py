"""The tool `append_line`, which must never run twice for one call."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool

FOLDER: Final = "FAULT_FOLDER"


def append_line(_context: ToolContext, arguments: Mapping[str, Any]) -> Any:
    """Append one line, atomically; slow enough to be killed in the middle."""
    time.sleep(0.02)
    path = Path(os.environ[FOLDER]) / "effects.txt"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{arguments['line']}\n".encode())
    finally:
        os.close(file)
    return {"appended": arguments["line"]}


TOOL: Final = Tool(
    name="append_line",
    description="Append a line to a file.",
    parameters={
        "type": "object",
        "properties": {"line": {"type": "string"}},
        "required": ["line"],
    },
    call=append_line,
    idempotent=False,
    side_effect="write",
)
