"""People's programs."""

import pytest

from accounts.models import User
from tests.accounts import factories
from tests.clients import ApiClient, HubClient


@pytest.fixture
def keyed(operator: User) -> ApiClient:
    """A client with an API key of the operator that may do whatever they may."""
    client = ApiClient()
    key = factories.make_key(operator, "write")
    client._client = HubClient(
        headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False
    )
    return client
