"""`Idempotency-Key`: a POST that comes again is answered again, not done again.

One transaction holds a lock on the key, the operation and its stored answer (decision 0004). So a
crash leaves all of it or nothing, and a key is free again as soon as its database session ends.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from django.db import connection, transaction
from django.http import HttpResponse
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock, tenancy
from kernel.actors import Actor
from kernel.errors import Conflict, Invalid
from kernel.models import StoredAnswer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEPT: Final = timedelta(hours=24)
BATCH: Final = 500
RETRY_AFTER_SECONDS: Final = 1
GOOD_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
REPEATED_HEADERS: Final = ("Location",)  # with the content type, what belongs to the answer itself


class KeyReused(Conflict):
    """The key came with another request before."""

    code = "idempotency.key_reused"
    message = "This Idempotency-Key was used for another request. Send a new key."


class InProgress(Conflict):
    """The first request with the key has not been answered yet."""

    code = "idempotency.in_progress"
    message = "The first request with this Idempotency-Key is still running. Try again shortly."


class NotReplayable(Conflict):
    """It was done, and its answer was for once only."""

    code = "idempotency.not_replayable"
    message = (
        "This request was done, and its answer is not given twice."
        " Send a new key to make a new request."
    )


class View(Protocol):
    """What is needed of the view that answers."""

    one_time_secret: bool

    def handle_exception(self, exc: Exception) -> Response:
        """The answer to a refusal; raises `exc` itself if it is a bug."""

    def get_renderer_context(self) -> dict[str, Any]:
        """What the renderer is told."""


def answer_once(
    view: View, handler: Callable[..., HttpResponse], request: Request, *args: Any, **kwargs: Any
) -> HttpResponse:
    """Answer as `handler` does, or as it did when the same caller sent the same request before.

    Only success (2xx) is stored: any other answer left nothing done, so the key stays free for the
    next try. Raises Invalid, KeyReused, InProgress or NotReplayable.
    """
    key = request.headers[HEADER]
    if not GOOD_KEY.fullmatch(key):
        raise Invalid.field(HEADER, "Send 1 to 255 visible ASCII characters without blanks.")
    actor = _caller(request)
    answer = StoredAnswer(
        id=_digest(actor.organization_id, actor, key),
        organization_id=actor.organization_id,
        request_digest=_digest(
            request.method, request.path.rstrip("/"), request.META.get("QUERY_STRING"), request.body
        ),
        created_at=clock.now(),
    )
    with transaction.atomic():
        _lock(answer.pk)
        if found := _find(answer):
            return _replay(found, answer.request_digest)
        try:
            response = handler(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the view raises bugs again
            # Answered inside the transaction: what an operation keeps of a refusal is its affair. A
            # rollback would undo that a refresh token which came back has ended its session.
            return view.handle_exception(error)
        if 200 <= response.status_code < 300:
            _store(answer, view, request, response)
    return response


def prune_answers(*, now: datetime) -> int:
    """Forget keys that were used over 24 hours ago, in small batches; returns how many."""
    deleted = 0
    while True:
        old = StoredAnswer.objects.filter(created_at__lte=now - KEPT).order_by("created_at")
        count, _ = StoredAnswer.objects.filter(
            pk__in=list(old.values_list("pk", flat=True)[:BATCH])
        ).delete()
        deleted += count
        if count < BATCH:
            return deleted


def _caller(request: Request) -> Actor:
    if isinstance(request.auth, Actor):
        return request.auth
    return Actor(type="anonymous", id=str(request.META.get("REMOTE_ADDR", "")))


def _digest(*parts: object) -> str:
    joined = b"\0".join(p if isinstance(p, bytes) else str(p).encode() for p in parts)
    return salted_hmac("kernel.http.idempotency", joined, algorithm="sha256").hexdigest()


def _lock(digest: str) -> None:
    """Hold the key to the end of the transaction; a second one that asks is refused at once."""
    number = int.from_bytes(bytes.fromhex(digest)[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise InProgress(data={"retry_after_seconds": RETRY_AFTER_SECONDS})


def _scope(answer: StoredAnswer) -> AbstractContextManager[None]:
    """Answers to those without a token are the platform's."""
    if answer.organization_id is None:
        return tenancy.platform()
    return tenancy.organization(answer.organization_id)


def _find(answer: StoredAnswer) -> StoredAnswer | None:
    oldest = answer.created_at - KEPT
    with _scope(answer):
        return StoredAnswer.objects.filter(pk=answer.pk, created_at__gt=oldest).first()


def _replay(found: StoredAnswer, request_digest: str) -> HttpResponse:
    if found.request_digest != request_digest:
        raise KeyReused
    if found.body is None:
        raise NotReplayable
    response = HttpResponse(bytes(found.body), status=found.status)
    del response["Content-Type"]  # Django's own; an answer without a body has none
    for name, value in {**found.headers, REPLAYED: "true"}.items():
        response[name] = value
    return response


def _store(answer: StoredAnswer, view: View, request: Request, response: HttpResponse) -> None:
    answer.status = response.status_code
    if isinstance(response, Response) and not view.one_time_secret:
        answer.body = request.accepted_renderer.render(
            response.data, request.accepted_media_type, view.get_renderer_context()
        )
        answer.headers = {n: response[n] for n in REPEATED_HEADERS if n in response.headers}
        if answer.body:
            answer.headers["Content-Type"] = request.accepted_renderer.media_type
    # One that is over 24 hours old may still be there.
    with _scope(answer):
        StoredAnswer.objects.bulk_create(
            [answer],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["request_digest", "status", "headers", "body", "created_at"],
        )
