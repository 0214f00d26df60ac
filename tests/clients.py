"""A client of the REST API that speaks JSON and knows its user."""

from collections.abc import Mapping
from typing import Any, Self

from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from kernel import redaction
from tests.accounts import factories
from tests.contract import conformance


class HubClient(Client):
    """Django's test client; each answer must be one that the OpenAPI document knows."""

    def request(self, **request: Any) -> Any:
        """Send a request. Raises AssertionError for an undocumented status, code, field or type."""
        answer = super().request(**request)
        found = conformance.complaints(request["REQUEST_METHOD"], request["PATH_INFO"], answer)
        assert not found, found
        return answer


class ApiClient:
    """Requests against the app in this process, through every middleware."""

    def __init__(self, user: User | None = None) -> None:
        self.user = user
        headers = {"Authorization": f"Bearer {factories.make_token(user)}"} if user else {}
        self._client = HubClient(headers=headers, raise_request_exception=False)

    def known(self) -> Self:
        """The same after a first request: those that follow ask neither who calls nor what may not
        be in a text."""
        assert self.get("/api/v1/auth/me").status_code == 200
        if self.user is not None:
            redaction.load(self.user.organization_id)
        return self

    def get(self, path: str, **query: Any) -> Any:
        """GET `path?query`."""
        return self._client.get(path, query)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """POST `body` as JSON; bytes go as they are."""
        return self._send("post", path, body, headers)

    def put(self, path: str, body: Any = None) -> Any:
        """PUT `body` as JSON."""
        return self._send("put", path, body)

    def patch(self, path: str, body: Any = None) -> Any:
        """PATCH with `body` as JSON."""
        return self._send("patch", path, body)

    def delete(self, path: str) -> Any:
        """DELETE `path`."""
        return self._client.delete(path)

    def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        data = body if isinstance(body, bytes) else ({} if body is None else body)
        send = getattr(self._client, method)
        response: HttpResponse = send(path, data, content_type="application/json", headers=headers)
        return response
