"""The project runs anywhere: nothing in it names one machine or one package index."""

import re
import sys
from pathlib import Path

from tests.architecture import house

BINARY = {".png", ".ico", ".woff2", ".gz", ".mo"}
HOME_FOLDERS = re.compile(r"(?<![\w./-])/(home|root|Users|workspace|work)/\w")
INDEX = re.compile(
    r"https?://[^\s\"'>)]*(?:pypi|/simple/)|--(?:extra-)?index-url|--find-links|--trusted-host"
)
# The option of the lock target that keeps addresses out.
ALLOWED_INDEX_WORDS = ("--no-emit-index-url", "--no-emit-find-links")


def is_text(path: Path) -> bool:
    return b"\0" not in (house.ROOT / path).read_bytes()


def lines() -> list[tuple[str, str]]:
    """(place, line) of every line of every text file, this one excepted."""
    here = Path(__file__).relative_to(house.ROOT)
    return [
        (f"{path}:{number}", line)
        for path in house.files()
        if path != here and is_text(path)
        for number, line in enumerate(house.text(path).splitlines(), 1)
    ]


def test_binary_files_are_of_a_known_kind() -> None:
    assert not [str(p) for p in house.files() if p.suffix not in BINARY and not is_text(p)]


def test_no_file_names_a_folder_of_one_machine() -> None:
    machine = [str(house.ROOT), sys.prefix]

    assert not [
        place
        for place, line in lines()
        if HOME_FOLDERS.search(line) or any(folder in line for folder in machine)
    ]


def test_no_file_names_a_package_index() -> None:
    assert not [
        place
        for place, line in lines()
        if INDEX.search(line) and not any(word in line for word in ALLOWED_INDEX_WORDS)
    ]


def test_locks_pin_and_hash_every_package() -> None:
    for name in ("runtime", "dev"):
        lock = house.text(Path(f"requirements/{name}.txt"))

        pins = re.findall(r"^[a-z0-9].*", lock, re.MULTILINE)

        assert pins
        assert not [pin for pin in pins if "==" not in pin or not pin.endswith(" \\")]
