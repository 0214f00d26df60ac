"""`up` as a new user meets it: the first answer, the second start, and every way to end it."""

import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from hub.launch.welcome import QUESTION
from tests.journeys import hubs
from tests.journeys.hubs import Hub


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A data folder after `up --once`, with its exit code and output."""
    data_dir = tmp_path_factory.mktemp("hub")
    return data_dir, *hubs.run_once(data_dir, "--once")


@pytest.fixture(scope="module")
def data_dir(first: tuple[Path, int, str]) -> Path:
    return first[0]


@pytest.fixture(scope="module")
def hub(data_dir: Path) -> Iterator[Hub]:
    """A second start on that folder. Every test leaves it serving."""
    with hubs.serving(data_dir) as serving:
        yield serving


@pytest.fixture(scope="module")
def neighbour_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose hub skips the welcome task: not what is looked at."""
    folder = tmp_path_factory.mktemp("neighbour")
    (folder / "welcomed").touch()
    return folder


def answers(url: str, path: str = "/readyz") -> bool:
    try:
        return httpx.get(f"{url}{path}", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def log_in(url: str, password: str) -> int:
    body = {"email": hubs.EMAIL, "password": password}
    return httpx.post(f"{url}/api/v1/auth/login", json=body, trust_env=False).status_code


def test_the_first_start_answers_a_question_from_the_hubs_own_documents(
    first: tuple[Path, int, str],
) -> None:
    _, code, output = first

    assert code == 0, output
    assert f"You    {QUESTION}" in output
    assert 'calls  knowledge_search {"query":' in output
    answer = output.partition("Guide  ")[2]
    assert re.search(r"\[1\]", answer), output
    assert re.search(r"\d+ tokens, \$\d+\.\d{6}, \d+\.\d s, demo", answer), output


def test_no_process_and_no_address_is_left_after_it(first: tuple[Path, int, str]) -> None:
    data_dir, _, _ = first

    assert not (data_dir / "connection.json").exists()
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    assert (data_dir / "lock").read_text() == ""


def test_a_later_start_keeps_the_account_and_skips_the_welcome(hub: Hub) -> None:
    assert log_in(hub.url, hubs.PASSWORD) == 200

    assert "with the password" not in hub.output
    assert QUESTION not in hub.output


def test_a_second_hub_on_the_folder_is_told_in_one_line(hub: Hub, data_dir: Path) -> None:
    url = hub.url

    assert hubs.run_once(data_dir) == (
        2,
        f"A hub already runs on {data_dir} at {url} (pid {hub.process.pid})."
        " Stop it first or choose another --data-dir.\n",
    )


@pytest.mark.parametrize("name", ["web", "worker", "scheduler"])
def test_a_killed_process_is_started_again(hub: Hub, name: str) -> None:
    url, victim = hub.url, hub.member(name)

    victim.kill()

    hubs.wait_for(lambda: f"{name} ended with code -9" in hub.output)
    hubs.wait_for(lambda: any(name in hubs.command_of(p) for p in hub.family()))
    assert hub.member(name).pid != victim.pid
    hubs.wait_for(lambda: answers(url))


@pytest.mark.parametrize(("name", "title"), [("redis-server", "Redis"), ("postgres", "PostgreSQL")])
def test_a_killed_server_is_brought_back(hub: Hub, name: str, title: str) -> None:
    url = hub.url
    # Not the whole family: PostgreSQL's own children come and go.
    children = psutil.Process(hub.process.pid).children()
    victim = next(p for p in children if p.name() == name)

    victim.kill()

    hubs.wait_for(lambda: f"{title} ended unexpectedly" in hub.output)
    hubs.wait_for(lambda: answers(url))
    assert log_in(url, hubs.PASSWORD) == 200


def test_what_the_hub_stores_is_closed_to_other_users(hub: Hub, data_dir: Path) -> None:
    assert answers(hub.url)

    modes = {p.name: stat.S_IMODE(p.stat().st_mode) & 0o077 for p in data_dir.iterdir()}

    assert {name for name, open_to_others in modes.items() if open_to_others} == set()
    assert "connection.json" in modes


def test_a_neighbour_has_a_password_of_its_own_and_ends_with_all_it_started(
    hub: Hub, neighbour_dir: Path
) -> None:
    with hubs.serving(neighbour_dir, HUB_ADMIN_PASSWORD="") as neighbour:
        url = neighbour.url
        shown = re.findall(r"with the password +(\S+)", neighbour.output)
        assert len(shown) == 1
        assert [log_in(url, shown[0]), log_in(url, hubs.PASSWORD)] == [200, 401]
        assert [log_in(hub.url, shown[0]), log_in(hub.url, hubs.PASSWORD)] == [401, 200]
        family = neighbour.family()

        assert neighbour.end(signal.SIGINT) == 0

    assert len(family) >= 5
    assert hubs.all_gone(family)
    files = [f for f in neighbour_dir.rglob("*") if f.is_file()]
    assert [f for f in files if shown[0].encode() in f.read_bytes()] == []


def test_a_killed_supervisor_takes_all_along_and_the_next_start_recovers(
    neighbour_dir: Path,
) -> None:
    with hubs.serving(neighbour_dir) as killed:
        assert answers(killed.url)
        family = killed.family()
        killed.end(signal.SIGKILL)

        with hubs.serving(neighbour_dir) as hub:
            assert answers(hub.url)
            hubs.wait_for(lambda: hubs.all_gone(family))


def test_a_weak_password_is_refused_in_one_line(tmp_path: Path) -> None:
    code, output = hubs.run_once(tmp_path, HUB_ADMIN_PASSWORD="short")

    assert code == 2
    assert output == "HUB_ADMIN_PASSWORD is too short. Use at least 12 characters.\n"
