"""Routes: every path works with and without its trailing slash, on every method."""

from rest_framework.routers import SimpleRouter


class HubRouter(SimpleRouter):
    """A router whose collections answer at `/things` and `/things/` alike, with no redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
