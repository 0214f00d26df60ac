"""`up` as a new user meets it: the first answer, the second start, and every way to end it."""

import re
import signal
import stat
from pathlib import Path

import httpx
import pytest

from hub.launch.welcome import QUESTION
from tests.journeys import hubs


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A data folder after `up --once`, with its exit code and output."""
    data_dir = tmp_path_factory.mktemp("hub")
    return data_dir, *hubs.run_once(data_dir, "--once")


@pytest.fixture
def data_dir(first: tuple[Path, int, str]) -> Path:
    return first[0]


@pytest.fixture
def fresh_dir(tmp_path: Path) -> Path:
    """A folder whose hub skips the welcome task: not what is looked at."""
    (tmp_path / "welcomed").touch()
    return tmp_path


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


def test_a_password_that_the_hub_made_up_is_shown_once_and_stored_nowhere(fresh_dir: Path) -> None:
    with hubs.serving(fresh_dir, HUB_ADMIN_PASSWORD="") as hub:
        assert log_in(hub.url, "not the password of anybody") == 401
        shown = re.findall(r"with the password +(\S+)", hub.output)
        assert len(shown) == 1
        assert log_in(hub.url, shown[0]) == 200

    stored = [
        f for f in fresh_dir.rglob("*") if f.is_file() and shown[0].encode() in f.read_bytes()
    ]
    assert stored == []


def test_a_later_start_keeps_the_account_and_skips_the_welcome(data_dir: Path) -> None:
    with hubs.serving(data_dir) as hub:
        assert log_in(hub.url, hubs.PASSWORD) == 200

    assert "with the password" not in hub.output
    assert QUESTION not in hub.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process(data_dir: Path, number: signal.Signals) -> None:
    with hubs.serving(data_dir) as hub:
        assert answers(hub.url)
        family = hub.family()

        assert hub.end(number) == 0

    assert len(family) >= 5
    assert hubs.all_gone(family)


def test_a_second_hub_on_the_folder_is_told_in_one_line(data_dir: Path) -> None:
    with hubs.serving(data_dir) as hub:
        url = hub.url

        code, output = hubs.run_once(data_dir)

    assert code == 2
    assert output == (
        f"A hub already runs on {data_dir} at {url} (pid {hub.process.pid})."
        " Stop it first or choose another --data-dir.\n"
    )


def test_two_hubs_run_side_by_side(data_dir: Path, fresh_dir: Path) -> None:
    with hubs.serving(data_dir) as one, hubs.serving(fresh_dir) as two:
        assert one.url != two.url
        assert answers(one.url)
        assert answers(two.url)


def test_a_killed_supervisor_takes_all_along_and_the_next_start_recovers(data_dir: Path) -> None:
    with hubs.serving(data_dir) as killed:
        assert answers(killed.url)
        family = killed.family()
        killed.end(signal.SIGKILL)

        with hubs.serving(data_dir) as hub:
            assert log_in(hub.url, hubs.PASSWORD) == 200
            hubs.wait_for(lambda: hubs.all_gone(family))


@pytest.mark.parametrize("name", ["web", "worker", "scheduler"])
def test_a_killed_process_is_started_again(data_dir: Path, name: str) -> None:
    with hubs.serving(data_dir) as hub:
        url, victim = hub.url, hub.member(name)

        victim.kill()

        hubs.wait_for(lambda: f"{name} ended with code -9" in hub.output)
        hubs.wait_for(lambda: any(name in p.cmdline() for p in hub.family()))
        assert hub.member(name).pid != victim.pid
        hubs.wait_for(lambda: answers(url))


@pytest.mark.parametrize(("name", "title"), [("redis-server", "Redis"), ("postgres", "PostgreSQL")])
def test_a_killed_server_is_brought_back(data_dir: Path, name: str, title: str) -> None:
    with hubs.serving(data_dir) as hub:
        url = hub.url
        supervisor = hub.process.pid
        victim = next(p for p in hub.family() if p.name() == name and p.ppid() == supervisor)

        victim.kill()

        hubs.wait_for(lambda: f"{title} ended unexpectedly" in hub.output)
        hubs.wait_for(lambda: answers(url))
        assert log_in(url, hubs.PASSWORD) == 200


def test_what_the_hub_stores_is_closed_to_other_users(data_dir: Path) -> None:
    unsafe = [
        path
        for path in data_dir.iterdir()
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name != "postgres"
    ]

    assert unsafe == []


def test_a_weak_password_is_refused_in_one_line(tmp_path: Path) -> None:
    code, output = hubs.run_once(tmp_path, HUB_ADMIN_PASSWORD="short")

    assert code == 2
    assert output.splitlines()[-1].startswith("The database could not be prepared: ")
    assert "too short" in output
