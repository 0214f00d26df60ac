"""What a command finds of the hub that runs beside it, and what it does not take for one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub import env

ROOT = Path(__file__).resolve().parents[2]
CONNECTION = {
    "DATABASE_URL": "postgresql://app",
    "HUB_DATABASE_OWNER_URL": "postgresql://owner",
    "REDIS_URL": "redis://:word@127.0.0.1:1/0",
    "HUB_SECRET_KEY": "k" * 32,
}


def publish(folder: Path, content: object) -> dict[str, str]:
    """The environment of a command beside a hub that wrote this."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "connection.json").write_text(text, encoding="latin-1")
    return {"HUB_DATA_DIR": str(folder)}


def test_a_command_finds_the_running_hub(tmp_path: Path) -> None:
    found = env.read(publish(tmp_path, CONNECTION))

    assert found.database_url == "postgresql://app"
    assert found.database_owner_url == "postgresql://owner"
    assert found.redis_url == "redis://:word@127.0.0.1:1/0"
    assert found.secret_key == "k" * 32


def test_it_takes_the_known_names_only(tmp_path: Path) -> None:
    found = env.read(publish(tmp_path, {**CONNECTION, "HUB_COLOUR": "red", "HUB_PORT": "9"}))

    assert (found.database_url, found.port) == ("postgresql://app", 8000)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\xff",
        [1],
        "1",
        {},
        {"DATABASE_URL": "postgresql://app"},
        {**CONNECTION, "REDIS_URL": 1},
        {**CONNECTION, "HUB_SECRET_KEY": "short"},
    ],
)
def test_a_damaged_file_counts_as_no_hub(tmp_path: Path, content: object) -> None:
    found = env.read(publish(tmp_path, content))

    assert (found.database_url, found.database_owner_url, found.redis_url) == ("", "", "")


def test_a_configured_hub_is_not_redirected(tmp_path: Path) -> None:
    source = publish(tmp_path, CONNECTION)

    found = env.read({**source, "DATABASE_URL": "postgresql://elsewhere"})

    assert (found.database_url, found.redis_url) == ("postgresql://elsewhere", "")


def test_up_does_not_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = publish(tmp_path, {**CONNECTION, "DATABASE_URL": "mysql://left-behind"})
    with pytest.raises(ImproperlyConfigured):
        env.read(source)

    monkeypatch.setattr(sys, "argv", ["manage.py", "up", "--once"])

    assert env.read(source).database_url == ""


def test_manage_py_with_a_damaged_file_ends_without_a_traceback(tmp_path: Path) -> None:
    publish(tmp_path, [1])

    done = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "audit"],
        cwd=ROOT,
        env={"HUB_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("The database does not answer.")
    assert done.stderr.count("\n") == 1
