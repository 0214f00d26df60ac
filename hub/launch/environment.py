"""What the processes of a hub are told, each no more than it needs."""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.embedded import data_folder

CONNECTION_FILE: Final = "connection.json"
KEY_FILE: Final = "secret_key"
# For the one process that prepares the database; those that serve never see them.
PREPARING_ONLY: Final = ("HUB_DATABASE_OWNER_URL", "HUB_ADMIN_PASSWORD", "HUB_AGENT_KEY")


@dataclass(frozen=True, slots=True)
class Connections:
    """Where the servers are, and where the hub will be."""

    database_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    data_dir: Path
    port: int

    def serving(self) -> dict[str, str]:
        """Environment of web, worker and scheduler."""
        kept = {k: v for k, v in os.environ.items() if k not in PREPARING_ONLY}
        return {**kept, **self._settings()}

    def preparing(self) -> dict[str, str]:
        """Environment of the process that migrates: it works as the owner of the tables."""
        return {**os.environ, **self._settings(), "DATABASE_URL": self.owner_url}

    def publish(self) -> None:
        """Let commands typed beside the hub find its embedded servers."""
        settings = self._settings()
        # No more than these: a later `up` reads the file too if this one is killed.
        shared = {name: settings[name] for name in ("DATABASE_URL", "REDIS_URL", "HUB_SECRET_KEY")}
        shared["HUB_DATABASE_OWNER_URL"] = self.owner_url
        data_folder.write_private(self.data_dir / CONNECTION_FILE, json.dumps(shared))

    def withdraw(self) -> None:
        """The opposite of `publish`."""
        (self.data_dir / CONNECTION_FILE).unlink(missing_ok=True)

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "HUB_DATA_DIR": str(self.data_dir),
            "HUB_SECRET_KEY": os.environ.get("HUB_SECRET_KEY") or _secret_key(self.data_dir),
            "HUB_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "hub.settings"),
            "PYTHONUNBUFFERED": "1",
        }


def _secret_key(data_dir: Path) -> str:
    """The folder's key, made on first use: sessions and sealed values depend on it."""
    path = data_dir / KEY_FILE
    if not path.exists():
        data_folder.write_private(path, secrets.token_urlsafe(48))
    return path.read_text().strip()
