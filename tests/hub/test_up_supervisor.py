"""The loop of `up`: children come back, give up with a reason, and end when asked."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from hub.launch.child import Child, is_loud
from hub.launch.errors import GaveUp
from hub.launch.supervisor import STOP_SIGNALS, Stopped, Supervisor
from hub.launch.terminal import Terminal

SERVE = "import sys, time; sys.stdin.readline(); print('serving', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVE


class Screen(Terminal):
    """A terminal that keeps what it was told."""

    def __init__(self) -> None:
        self.shown = ""
        super().__init__(StringIO())

    def _write(self, text: str) -> None:
        self.shown += text


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def supervisor(screen: Screen) -> Iterator[Supervisor]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    made = Supervisor(screen, drain_seconds=0.5, verbose=False)
    made.listen()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def child(folder: Path, code: str, name: str = "web") -> Child:
    return Child(name, [sys.executable, "-c", code], env=dict(os.environ), log_dir=folder)


def said(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text()


def test_a_child_waits_for_its_release_and_its_output_is_logged(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    web = child(tmp_path, SERVE)
    supervisor.start([web])

    assert not supervisor.wait(lambda: said(web.log, "serving"), seconds=0.5)
    supervisor.release()
    assert supervisor.wait(lambda: said(web.log, "serving"), seconds=20)

    supervisor.stop()
    assert web.exit_code == -signal.SIGTERM


def test_a_child_that_died_is_started_again(
    supervisor: Supervisor, screen: Screen, tmp_path: Path
) -> None:
    once = tmp_path / "died"
    code = f"import pathlib; p = pathlib.Path({str(once)!r}); old = p.exists(); p.touch()\n"
    web = child(tmp_path, f"{code}if not old: raise SystemExit('no luck')\n{SERVE}")
    supervisor.start([web])
    supervisor.release()

    assert supervisor.wait(lambda: said(web.log, "serving"), seconds=20)

    assert screen.shown == "web ended with code 1: no luck. Starting it again.\n"
    supervisor.stop()


def test_a_child_that_cannot_live_is_given_up_with_its_reason(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.launch.supervisor.QUICK_DEATHS", 3)
    web = child(tmp_path, "raise SystemExit('the port is gone')")
    supervisor.start([web])
    supervisor.release()

    with pytest.raises(GaveUp) as failure:
        supervisor.wait(lambda: False, seconds=20)

    assert failure.value.detail == (
        f"Gave up after 3 quick failures: web ended with code 1: the port is gone. See {web.log}."
    )
    supervisor.stop()


def test_the_pauses_between_quick_deaths_grow_to_half_a_minute(tmp_path: Path) -> None:
    web = child(tmp_path, SERVE)

    pauses = []
    for _ in range(9):
        web.note_death(1.0)
        assert web.restart_at is not None
        pauses.append(web.restart_at - 1.0)

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    web.note_death(1000.0)
    assert (web.quick_deaths, web.restart_at) == (1, 1000.5)
    web.close()


def test_warnings_reach_the_person_and_the_rest_only_the_log(
    supervisor: Supervisor, screen: Screen, tmp_path: Path
) -> None:
    lines = ["t [info     ] a.request.served", "t [warning  ] a.key.expires", '{"level": "error"}']
    web = child(tmp_path, f"print({chr(10).join(lines)!r}, flush=True)\n{SERVE}")
    supervisor.start([web])
    supervisor.release()

    assert supervisor.wait(lambda: said(web.log, "serving"), seconds=20)

    assert screen.shown.splitlines() == [f"web       {line}" for line in lines[1:]]
    assert web.log.read_text().splitlines() == [*lines, "serving"]
    supervisor.stop()


def test_all_is_shown_to_those_who_ask(screen: Screen, tmp_path: Path) -> None:
    curious = Supervisor(screen, drain_seconds=0.5, verbose=True)
    web = child(tmp_path, SERVE)
    curious.start([web])
    curious.release()

    assert curious.wait(lambda: bool(screen.shown), seconds=20)

    assert screen.shown == "web       serving\n"
    curious.stop()


def test_a_signal_ends_the_wait(supervisor: Supervisor) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()

    with pytest.raises(Stopped) as stop:
        supervisor.wait(lambda: False, seconds=20)

    assert stop.value.number == signal.SIGTERM
    supervisor.stop()


def test_a_child_that_does_not_listen_is_killed_with_all_it_started(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.launch.supervisor.KILL_SECONDS", 0.1)
    start = "import subprocess; p = subprocess.Popen(['sleep', '60'])"
    web = child(tmp_path, f"{start}; print('has', p.pid, flush=True); {STUBBORN}")
    supervisor.start([web])
    supervisor.release()
    assert supervisor.wait(lambda: said(web.log, "serving"), seconds=20)
    grandchild = int(web.log.read_text().split()[1])

    supervisor.stop()

    assert web.exit_code == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(grandchild)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_second_signal_hurries_the_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    patient = Supervisor(Screen(), drain_seconds=1000, verbose=False)
    patient.listen()
    web = child(tmp_path, STUBBORN)
    patient.start([web])
    patient.release()
    assert patient.wait(lambda: said(web.log, "serving"), seconds=20)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    patient.stop()

    assert web.exit_code == -signal.SIGKILL


def test_a_dead_server_is_brought_back(supervisor: Supervisor, screen: Screen) -> None:
    class Server:
        running = False

        def restart(self) -> None:
            self.running = True

    server = Server()
    supervisor.watch("Redis", server)

    assert supervisor.wait(lambda: server.running, seconds=20)

    assert screen.shown == "Redis ended unexpectedly; starting it again.\n"


def test_a_full_log_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.launch.child.LOG_BYTES", 1000)
    web = child(tmp_path, SERVE)

    for number in range(300):
        web.receive(f"line {number} of a long story\n".encode())
    web.close()

    logs = sorted(tmp_path.glob("web.log*"))
    assert [log.name for log in logs] == ["web.log", "web.log.1", "web.log.2", "web.log.3"]
    assert all(log.stat().st_size <= 1000 for log in logs)


if sys.platform == "linux":  # Where a file that is always full exists.

    def test_a_full_disk_loses_lines_of_the_log_quietly(
        tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "web.log").symlink_to("/dev/full")
        web = child(tmp_path, SERVE)

        lines = web.receive(b"one\ntwo\n")
        web.close()

        assert lines == ["one", "two"]
        assert capfd.readouterr() == ("", "")


def test_lines_cut_by_the_pipe_are_joined(tmp_path: Path) -> None:
    web = child(tmp_path, SERVE)

    assert web.receive(b"one\ntw") == ["one"]
    assert web.receive("o\nd\xff".encode("latin-1")) == ["two"]
    assert web.receive(b"\n") == ["d\ufffd"]
    web.close()


@pytest.mark.parametrize(
    ("line", "loud"),
    [
        ("2026-11-22T02:59:05Z [warning  ] a.b.c [x]", True),
        ("2026-11-22T02:59:05Z [error    ] a.b.c [x]", True),
        ('{"event": "a.b.c", "level": "critical"}', True),
        ("2026-11-22T02:59:05Z [info     ] no error here", False),
        ("an error without a level", False),
    ],
)
def test_a_line_is_loud_by_its_level(line: str, *, loud: bool) -> None:
    assert is_loud(line) is loud
