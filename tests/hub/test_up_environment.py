"""What the processes of a hub are told, and what they are not."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from hub.launch.environment import Connections
from hub.launch.errors import CannotStart


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connections:
    for name in ("HUB_SECRET_KEY", "HUB_ADMIN_PASSWORD", "HUB_AGENT_KEY", "HUB_DATABASE_OWNER_URL"):
        monkeypatch.delenv(name, raising=False)
    return Connections("postgresql://app", "postgresql://owner", "redis://", tmp_path, 8123)


def test_those_that_serve_never_see_what_only_the_preparation_needs(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATABASE_OWNER_URL", "postgresql://owner")
    monkeypatch.setenv("HUB_ADMIN_PASSWORD", "a password")
    monkeypatch.setenv("HUB_AGENT_KEY", "a key")
    monkeypatch.setenv("HUB_OPENAI_API_KEY", "another key")

    serving, preparing = connections.serving(), connections.preparing()

    assert serving["DATABASE_URL"] == "postgresql://app"
    assert serving["HUB_OPENAI_API_KEY"] == "another key"
    assert not {"HUB_DATABASE_OWNER_URL", "HUB_ADMIN_PASSWORD", "HUB_AGENT_KEY"} & serving.keys()
    assert "postgresql://owner" not in serving.values()
    assert preparing["DATABASE_URL"] == "postgresql://owner"
    assert preparing["HUB_ADMIN_PASSWORD"] == "a password"


def test_the_scheduler_sees_no_provider(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_PROVIDER", "anthropic")  # Without its key it would be refused.
    for name in ("HUB_OPENAI_API_KEY", "HUB_ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "a key")

    serving, scheduling = connections.serving(), connections.scheduling()

    assert serving.keys() - scheduling.keys() == {
        "HUB_PROVIDER",
        "HUB_OPENAI_API_KEY",
        "HUB_ANTHROPIC_API_KEY",
        "GOOGLE_API_KEY",
    }
    assert scheduling.items() <= serving.items()


def test_the_secret_key_is_made_once_and_kept_closed(
    connections: Connections, tmp_path: Path
) -> None:
    first = connections.serving()["HUB_SECRET_KEY"]

    assert len(first) >= 32
    assert connections.serving()["HUB_SECRET_KEY"] == first
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"k" * 31, b"k" * 20 + b"\0" + b"k" * 20, b"\xff\xfe" * 40, b" " * 40]
)
def test_a_damaged_secret_key_is_refused_and_kept(
    connections: Connections, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "secret_key").write_bytes(content)

    with pytest.raises(CannotStart) as refusal:
        connections.serving()

    assert refusal.value.detail == (
        f"{tmp_path}/secret_key is damaged: it must hold at least 32 printable characters."
        " Restore it from a backup, or delete it: then everybody must log in again."
    )
    assert (tmp_path / "secret_key").read_bytes() == content


def test_a_secret_key_that_cannot_be_written_leaves_nothing_behind(
    connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # To fill a real disk would harm whatever else runs.

    with pytest.raises(OSError, match="No space left"):
        connections.serving()

    assert list(tmp_path.iterdir()) == []


def test_a_secret_key_of_the_environment_is_used_and_not_stored(
    connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_SECRET_KEY", "k" * 40)

    assert connections.serving()["HUB_SECRET_KEY"] == "k" * 40
    assert not (tmp_path / "secret_key").exists()


def test_the_connection_file_is_closed_and_goes_with_the_hub(
    connections: Connections, tmp_path: Path
) -> None:
    connections.publish()

    file = tmp_path / "connection.json"
    assert json.loads(file.read_text()) == {
        "DATABASE_URL": "postgresql://app",
        "HUB_DATABASE_OWNER_URL": "postgresql://owner",
        "HUB_SECRET_KEY": connections.serving()["HUB_SECRET_KEY"],
        "REDIS_URL": "redis://",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connections.withdraw()
    assert not file.exists()


def test_secrets_do_not_show_in_its_text(connections: Connections) -> None:
    assert "postgresql://" not in repr(connections)
