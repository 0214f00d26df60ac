"""From rounds to medians, and to one table."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

HEAD: Final = (
    "| figure | hub | beside | target | ratio | met |\n| --- | ---: | ---: | --- | ---: | --- |\n"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value of the hub and, in the same unit, of what stands beside it.

    The target bounds the ratio hub : beside (or the value itself where nothing stands beside):
    `at least` for rates, `at most` for times and sizes.
    """

    name: str
    unit: str
    hub: float
    bound: Literal["at least", "at most"]
    target: float
    beside: float | None = None
    peer: str = ""

    @property
    def compared(self) -> float:
        """What the target speaks of."""
        return self.hub if self.beside is None else self.hub / self.beside

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        if self.bound == "at least":
            return self.compared >= self.target
        return self.compared <= self.target


def medians(rounds: Iterable[Sequence[Figure]]) -> list[Figure]:
    """The median of each figure over `rounds`, in the order of the first."""
    by_name: dict[str, list[Figure]] = {}
    for figures in rounds:
        for figure in figures:
            by_name.setdefault(figure.name, []).append(figure)
    return [_median(same) for same in by_name.values()]


def render(figures: Iterable[Figure]) -> str:
    """A Markdown table."""
    return HEAD + "".join(_row(figure) for figure in figures)


def _median(same: Sequence[Figure]) -> Figure:
    """The round whose ratio is the median one: its two values belong together."""
    ordered = sorted(same, key=lambda figure: figure.compared)
    return ordered[(len(ordered) - 1) // 2]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of `values` lie."""
    if len(values) < 2:
        return values[0]
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return cuts[min(998, max(0, round(part * 1000) - 1))]


def _row(figure: Figure) -> str:
    ratio = "" if figure.beside is None else f"{figure.compared:.2f}"
    unit = figure.unit if figure.beside is None else "x"
    beside = figure.peer if figure.beside is None else f"{_number(figure.beside)} ({figure.peer})"
    met = "yes" if figure.is_met else "no"
    return (
        f"| {figure.name} | {_number(figure.hub)} {figure.unit} | {beside} |"
        f" {figure.bound} {figure.target:g} {unit} | {ratio} | {met} |\n"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
