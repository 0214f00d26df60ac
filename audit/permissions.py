"""What the API refused for lack of rights is written down (contract 002 A14: `denied`)."""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.db import Error as DatabaseError

from audit import operations
from kernel import clock
from kernel.actors import Actor

log = structlog.get_logger(__name__)
# Looking at what one may not see is a click too many; a refused change is worth a row.
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
VERBS: Final = {"destroy": "delete", "partial_update": "update"}


def note_refusal(context: Mapping[str, Any], problem: Mapping[str, Any]) -> None:
    """Record who was refused what; `context` is DRF's, `problem` the answer."""
    request, view = context["request"], context.get("view")
    noun, action = getattr(view, "noun", ""), getattr(view, "action", None)
    if request.method in SAFE or not noun or not action or not isinstance(request.auth, Actor):
        return
    try:
        operations.record_denied(
            actor=request.auth,
            action=f"{noun}.{VERBS.get(action, action)}",
            resource_type=noun,
            resource_id=str(context.get("kwargs", {}).get("pk", ""))[:64],
            details={name: problem[name] for name in ("code", "permission") if name in problem},
            now=clock.now(),
        )
    except DatabaseError as error:
        log.warning("audit.refusal.not_recorded", error=type(error).__name__)
