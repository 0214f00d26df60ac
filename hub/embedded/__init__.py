"""PostgreSQL and Redis from Python wheels, for a hub that was given no servers of its own."""

from hub.embedded.servers import Servers, session

__all__ = ["Servers", "session"]
