"""In a process of the hub: what it costs a request to know who asks and whether they may."""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import django

django.setup()

from django.db import connection
from django.test import RequestFactory
from rest_framework.request import Request

from accounts.operations import callers, sessions
from accounts.permissions import NamedPermission, SessionTokenAuthentication
from accounts.selectors import people
from bench.stage import EMAIL
from kernel import clock, tenancy
from kernel.actors import SYSTEM

TIMES = 2000


class View:
    """An action that names a permission."""

    action = "list"
    permissions = {"list": "task.read"}


def main() -> None:
    """Print CPU milliseconds at the median and queries a request, as JSON."""
    with tenancy.platform():
        user = people.find_user_by_email(email=EMAIL)
        if user is None:
            raise RuntimeError(f"Nobody has the e-mail {EMAIL}.")
        token = sessions.issue_tokens(user=user, actor=SYSTEM, now=clock.now()).access

    def remember() -> None:
        """Nothing to forget."""

    def forget() -> None:
        callers.forget(organization_id=user.organization_id)

    print(json.dumps({"warm": _measure(token, remember), "cold": _measure(token, forget)}))


def _measure(token: str, before: Callable[[], None]) -> dict[str, float]:
    plain = RequestFactory().get("/api/v1/tasks", headers={"Authorization": f"Bearer {token}"})
    seconds: list[float] = []
    queries: list[int] = []
    _ask(plain)
    for _ in range(TIMES):
        before()
        with _Counting() as counted:
            began = time.thread_time()
            _ask(plain)
            seconds.append(time.thread_time() - began)
        queries.append(counted.queries)
    return {"cpu_ms": statistics.median(seconds) * 1000, "queries": statistics.median(queries)}


def _ask(plain: Any) -> None:
    with tenancy.request():
        request = Request(plain, authenticators=[SessionTokenAuthentication()])
        if not NamedPermission().has_permission(request, View()):
            raise RuntimeError("The administrator was refused.")


class _Counting:
    """How many statements went to the database within the block."""

    def __init__(self) -> None:
        self.queries = 0
        self._wrapper: AbstractContextManager[None] = connection.execute_wrapper(self._count)

    def __enter__(self) -> "_Counting":
        self._wrapper.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._wrapper.__exit__(*error)

    def _count(self, execute: Any, *arguments: Any) -> Any:
        self.queries += 1
        return execute(*arguments)


if __name__ == "__main__":
    main()
