"""What the processes of a hub are told, each no more than it needs."""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.embedded import data_folder
from hub.launch.errors import CannotStart

CONNECTION_FILE: Final = "connection.json"
KEY_FILE: Final = "secret_key"
SHORTEST_KEY: Final = 32  # Characters; as `hub.env`, which reads the environment when imported.
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
        """Environment of web and worker."""
        kept = {k: v for k, v in os.environ.items() if k not in PREPARING_ONLY}
        return {**kept, **self._settings()}

    def scheduling(self) -> dict[str, str]:
        """Environment of the scheduler, which calls no model: no provider and no provider's key."""
        return {
            k: v
            for k, v in self.serving().items()
            if k != "HUB_PROVIDER" and not k.endswith("_API_KEY")
        }

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
    """The folder's key, made on first use: sessions and sealed values depend on it.

    Raises CannotStart if the file is damaged; a new key in its place would lock everybody out.
    """
    path = data_dir / KEY_FILE
    if not path.exists():
        data_folder.write_private(path, secrets.token_urlsafe(48))
    key = path.read_text(encoding="latin-1").strip()
    if len(key) < SHORTEST_KEY or not (key.isascii() and key.isprintable()):
        raise CannotStart(
            f"{path} is damaged: it must hold at least {SHORTEST_KEY} printable characters."
            " Restore it from a backup, or delete it: then everybody must log in again."
        )
    return key
