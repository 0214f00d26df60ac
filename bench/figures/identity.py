"""What a refused login's time tells, and what it costs a request to know who asks."""

import time
from contextlib import suppress
from itertools import cycle
from statistics import median
from typing import Final
from urllib.error import HTTPError

from bench.stage import Stage, call, log_in
from bench.table import Figure

# Fewer failures each than lock an account.
ATTEMPTS: Final = 4
ACCOUNTS: Final = 15
PASSWORD: Final = "Nine boats, 1 harbour"


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    return [_timing(stage), *_authorisation(stage)]


def _timing(stage: Stage) -> Figure:
    """The slowest and the fastest kind of refusal: nobody may learn which kind theirs was."""
    with stage.web() as url:
        token = log_in(url)
        known = [_account(url, token, f"known-{number}") for number in range(ACCOUNTS)]
        disabled, locked = (_account(url, token, name) for name in ("disabled", "locked"))
        _disable(url, token, disabled)
        for _ in range(5):
            _attempt(url, locked)
        emails = {
            "wrong password": cycle(known),
            "unknown": cycle([f"unknown-{number}@bench.example.com" for number in range(ACCOUNTS)]),
            "disabled": cycle([disabled]),
            "locked": cycle([locked]),
        }
        taken: dict[str, list[float]] = {kind: [] for kind in emails}
        for _ in range(ATTEMPTS * ACCOUNTS):
            for kind, turn in emails.items():
                taken[kind].append(_attempt(url, next(turn)))
    medians = {kind: median(times) for kind, times in taken.items()}
    slowest, fastest = max(medians, key=medians.__getitem__), min(medians, key=medians.__getitem__)
    return Figure(
        name="Refused login, slowest to fastest kind (p50)",
        unit="ms",
        hub=medians[slowest],
        bound="at most",
        target=1.1,
        beside=medians[fastest],
        peer=", ".join(f"{kind} {value:.1f}" for kind, value in medians.items()),
    )


def _authorisation(stage: Stage) -> list[Figure]:
    costs = stage.run_hub("-m", "bench.authorisation", DJANGO_SETTINGS_MODULE="hub.settings")
    found = []
    # Most requests meet a remembered caller, so that is what the median request costs.
    for state, words, target, queries in (
        ("warm", "remembered", 0.3, 0.0),
        ("cold", "read anew", 5.0, 1.0),
    ):
        cost = costs[state]
        name = f"Authorisation of a request, caller {words}"
        found.append(Figure(f"{name}, CPU (p50)", "ms", cost["cpu_ms"], "at most", target))
        found.append(Figure(f"{name}, queries", "", cost["queries"], "at most", queries))
    return found


def _account(url: str, token: str, name: str) -> str:
    email = f"{name}-{time.monotonic_ns()}@bench.example.com"
    call("POST", f"{url}/api/v1/admin/users", {"email": email, "password": PASSWORD}, token)
    return email


def _disable(url: str, token: str, email: str) -> None:
    (user,) = call("GET", f"{url}/api/v1/admin/users?email={email}", token=token)["items"]
    call("PATCH", f"{url}/api/v1/admin/users/{user['id']}", {"is_active": False}, token)


def _attempt(url: str, email: str) -> float:
    """Milliseconds of a login with a wrong password."""
    began = time.perf_counter()
    with suppress(HTTPError):
        call("POST", f"{url}/api/v1/auth/login", {"email": email, "password": "wrong"})
    return (time.perf_counter() - began) * 1000
