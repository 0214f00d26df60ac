"""People's programs."""

import pytest
from django.test import Client

from accounts.models import User
from tests.accounts import factories
from tests.clients import ApiClient


@pytest.fixture
def keyed(operator: User) -> ApiClient:
    """A client with an API key of the operator that may do whatever they may."""
    client = ApiClient()
    key = factories.make_key(operator, "write")
    client._client = Client(
        headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False
    )
    return client
