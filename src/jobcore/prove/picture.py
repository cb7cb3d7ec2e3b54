"""The picture of a run: what went wrong, over how much was settled and how deep the queue was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from jobcore.prove.history import Told
from jobcore.prove.nemesis import Fault, Kind

_WIDTH: Final = 960
_LEFT: Final = 70
_RIGHT: Final = 20
_STRIP: Final = 18
_PANEL: Final = 150
_GAP: Final = 34
_BINS: Final = 240
_LEAST_BIN: Final = 100_000
"""A point stands for a tenth of a second at the least; longer runs have so many points."""

_COLOURS: Final = {
    Kind.KILL: "#c0392b",
    Kind.PAUSE: "#8e44ad",
    Kind.CUT: "#d35400",
    Kind.STALL: "#b7950b",
    Kind.SERVER: "#2c3e50",
}
_ROUND: Final = (1, 2, 3, 4, 5, 6, 8, 10)


def picture(told: Told, faults: Sequence[Fault]) -> str:
    """An SVG: a strip for each kind of fault, jobs settled a second, and jobs pushed and not yet settled."""
    pushes, ends = told.pushed.values(), told.ended.values()
    times = [*pushes, *ends, *(fault.end for fault in faults)]
    begin, end = min(times, default=0), max(times, default=0)
    width = max(_LEAST_BIN, (end - begin) // _BINS + 1)
    bins = (end - begin) // width + 1
    settled, pushed = _binned(ends, begin, width, bins), _binned(pushes, begin, width, bins)
    depth = [a - b for a, b in zip(accumulate(pushed), accumulate(settled), strict=True)]
    rate = [number * 1_000_000 / width for number in settled]
    return _Drawing(begin, bins * width).drawn(faults, rate, [float(max(0, each)) for each in depth])


def _binned(times: Iterable[int], begin: int, width: int, bins: int) -> list[int]:
    """How many fall into each of some spans of time."""
    found = Counter((at - begin) // width for at in times)
    return [found[number] for number in range(bins)]


class _Drawing:
    """An SVG whose x axis is a span of time; it grows downwards.

    Args:
        begin: where it begins, in µs.
        length: how much it shows, in µs.
    """

    def __init__(self, begin: int, length: int) -> None:
        self._begin = begin
        self._length = max(length, 1)
        self._y = 10.0
        self._parts: list[str] = []

    def drawn(self, faults: Sequence[Fault], rate: Sequence[float], depth: Sequence[float]) -> str:
        """The whole of it."""
        for kind in Kind:
            self._strip(kind, [fault for fault in faults if fault.kind is kind])
        self._panel("settled a second", rate, "#2471a3")
        self._panel("in the queue", depth, "#1e8449")
        self._seconds()
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {self._y:.0f}" font-family="sans-serif"'
        return "\n".join([f'{head} font-size="11" fill="#333">', f'<rect width="{_WIDTH}" height="100%" fill="#fff"/>',
                          *self._parts, "</svg>", ""])  # fmt: skip

    def _strip(self, kind: Kind, faults: Sequence[Fault]) -> None:
        """A line of marks, each as long as its fault lasted; nothing where there was none."""
        if not faults:
            return
        self._text(_LEFT - 8, self._y + 11, kind.value, "end")
        for fault in faults:
            x, end = self._x(fault.begin), self._x(fault.end)
            self._parts.append(
                f'<rect x="{x:.1f}" y="{self._y:.0f}" width="{max(1.5, end - x):.1f}" height="{_STRIP - 5}" '
                f'fill="{_COLOURS[kind]}" fill-opacity=".7"/>'
            )
        self._y += _STRIP

    def _panel(self, name: str, values: Sequence[float], colour: str) -> None:
        """A filled line of values at equal distances in time, with its scale."""
        top = _nice(max(values))
        base = self._y + _GAP + _PANEL
        height: Callable[[float], float] = lambda value: base - _PANEL * value / top  # noqa: E731
        self._text(_LEFT, self._y + _GAP - 8, name)
        for value in (0.0, top / 2, top):
            y = height(value)
            self._parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
            self._text(_LEFT - 8, y + 4, f"{value:g}", "end")
        step = (_WIDTH - _RIGHT - _LEFT) / len(values)
        line = "".join(f"V{height(value):.1f}h{step:.2f}" for value in values)
        self._parts.append(
            f'<path d="M{_LEFT} {base:.1f}{line}V{base:.1f}Z" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>'
        )
        self._y = base

    def _seconds(self) -> None:
        """The axis of time."""
        seconds = self._length / 1_000_000
        step = _nice(seconds / 8)
        for number in range(int(seconds / step) + 1):
            self._text(self._x(self._begin + round(number * step * 1_000_000)), self._y + 16, f"{number * step:g} s")
        self._y += 26

    def _x(self, time: int) -> float:
        return _LEFT + (_WIDTH - _RIGHT - _LEFT) * (time - self._begin) / self._length

    def _text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')


def _nice(value: float) -> float:
    """The least of 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 2, … that is no less than a value."""
    power = 0.1
    while power * 10 < value:
        power *= 10
    return next(power * step for step in _ROUND if power * step >= value or step == _ROUND[-1])
