"""What the measurements mean: ratios against the best peer, means by family, tables, files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peers import OURS
from problems import Problem, parse

# What the project asks of each family against the best peer: (raw weights, plan).
TARGETS = {
    "forward": {
        "3x3": (2.2, 2.6), "3x3 14px": (1.4, 2.3), "3x3 7px": (1.0, 1.5), "1x1": (1.05, 1.15),
        "strided": (1.0, 1.1), "first": (1.5, 1.7), "simplecnn b1": (3.5, 4.0),
        "simplecnn b64": (2.2, 2.5), "depthwise": (1.8, 1.8), "grouped": (3.5, 3.5), "pool": (4, 4),
    },
    "backward": {
        "3x3": (2.8, 2.8), "3x3 14px": (1.8, 1.8), "3x3 7px": (1.1, 1.1), "1x1": (1.1, 1.1),
        "strided": (1.3, 1.3), "first": (1.0, 1.0), "simplecnn b1": (8.0, 8.0),
        "simplecnn b64": (2.8, 2.8), "depthwise": (3.5, 3.5), "grouped": (10, 10),
        "pool": (2.5, 2.5),
    },
    "training step": {"networks": (2.0, 2.0)},
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One layer (or network) in one direction: the median seconds of every contestant."""

    direction: str
    threads: int
    sizes: str  # "named", "other" or "given"
    family: str
    label: str
    problem: str
    seconds: dict[str, float]

    @property
    def key(self) -> tuple[object, ...]:
        return (self.direction, self.threads, self.sizes, self.family, self.label, self.problem)

    @property
    def best_peer(self) -> str | None:
        """The fastest contestant that is not ours."""
        peers = {n: s for n, s in self.seconds.items() if n.split(":")[0] not in OURS}
        return min(peers, key=peers.__getitem__) if peers else None

    @property
    def layer(self) -> Problem | None:
        """The problem of a layer; None for a whole network and for an operator."""
        known = self.family != "networks" and self.sizes != "operators"
        return parse(self.problem) if known else None

    def ratio(self, ours: str) -> float | None:
        """How many times faster than the best peer we are."""
        if ours not in self.seconds or self.best_peer is None:
            return None
        return self.seconds[self.best_peer] / self.seconds[ours]

    def rate(self, name: str) -> float:
        """GFLOP/s of a convolution, counted as a direct one; GB/s of a pool."""
        problem = self.layer
        if problem is None:
            return math.nan
        work = problem.flops if problem.op == "conv" else problem.bytes
        passes = 2 if problem.op == "conv" and self.direction == "backward" else 1
        return passes * work / self.seconds[name] / 1e9


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def layer_table(rows: Sequence[Row], peak: float | None = None) -> list[list[str]]:
    """Header and one line per layer: our time, rate, share of peak, ratios, every peer's time."""
    names = list(dict.fromkeys(n for row in rows for n in row.seconds))
    peers = [n for n in names if n not in OURS]
    ours = ["ms", "GFLOP/s or GB/s", "% of peak", "best peer", "ratio", "plan"]
    table = [["layer", "problem", *ours, *peers]]
    for row in rows:
        line = [row.label, row.problem]
        cells = ["", "", ""]
        if "fastconv" in row.seconds:
            cells[0] = _ms(row.seconds["fastconv"])
            if row.layer is not None:
                rate = row.rate("fastconv")
                cells[1] = f"{rate:.1f}"
                if peak and row.layer.op == "conv":  # of float32; float64 reaches half of it
                    width = 4 / np.dtype(row.layer.dtype).itemsize
                    cells[2] = f"{100 * rate * 1e9 / (peak * width * row.threads):.0f}"
        line += cells
        line += [row.best_peer or "", _times(row.ratio("fastconv")), _times(row.ratio("plan"))]
        table.append(line + [_ms(row.seconds[n]) if n in row.seconds else "" for n in peers])
    return table


def family_table(rows: Sequence[Row]) -> list[list[str]]:
    """Header, one line per family and one for all: geometric means, worst layer, target."""
    table = [["family", "layers", "ratio", "worst", "plan", "worst", "target", "worst layer"]]
    families = list(dict.fromkeys(row.family for row in rows))
    groups = [(f, [r for r in rows if r.family == f]) for f in families]
    for family, group in [*groups, ("all", list(rows))]:
        line = [family, str(len(group))]
        for ours in OURS:
            ratios = [r for row in group if (r := row.ratio(ours)) is not None]
            line += [_times(geometric_mean(ratios)), _times(min(ratios))] if ratios else ["", ""]
        target = TARGETS.get(group[0].direction, {}).get(family)
        line.append("" if target is None else " / ".join(f"{t:g}x" for t in dict.fromkeys(target)))
        known = [row for row in group if row.ratio("fastconv") is not None]
        worst = min(known, key=lambda row: row.ratio("fastconv") or 0, default=None)
        table.append([*line, worst.label if worst else ""])
    return table


def algorithm_table(rows: Sequence[Row]) -> list[list[str]]:
    """Header and one line per layer: every registry row's time, and auto against the best."""
    names = list(dict.fromkeys(n for row in rows for n in row.seconds))
    table = [["layer", "problem", *names, "best", "auto behind best"]]
    for row in rows:
        best = min(row.seconds, key=row.seconds.__getitem__)
        behind = row.seconds["auto"] / row.seconds[best] - 1
        times = [_ms(row.seconds[n]) if n in row.seconds else "" for n in names]
        table.append([row.label, row.problem, *times, best, f"{100 * behind:.0f} %"])
    return table


def near_best(rows: Sequence[Row], within: float = 0.05) -> float:
    """Share of the layers on which ``auto`` is at most ``within`` slower than the best row."""
    good = [r.seconds["auto"] <= (1 + within) * min(r.seconds.values()) for r in rows]
    return sum(good) / len(good) if good else math.nan


def as_text(table: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def as_markdown(table: list[list[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def sections(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows grouped into the tables of a report, by title."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        count = "one thread" if row.threads == 1 else f"{row.threads} threads"
        what, double = "Whole networks", ""
        if row.sizes == "operators":
            what = "Operators bound by memory"
            what += " (channels-last)" if "channels-last" in row.problem else ""
            double = ", float64" if row.problem.endswith(" f64") else ""
        if row.layer is not None:
            what = f"{row.sizes.capitalize()} sizes: "
            what += "convolution" if row.layer.op == "conv" else "pools"
            double = ", float64" if row.layer.dtype == "float64" else ""
        title = f"{what}, {row.direction}, {count}{double}"
        found.setdefault(title, []).append(row)
    return found


def scaling_table(rows: Iterable[Row]) -> list[list[str]]:
    """Header and, by direction, how many times faster fastconv is on two threads than on one."""
    table = [["layers", "count", "speed-up", "worst", "worst layer", "count from 1 ms", "worst"]]
    for title, pairs in _pairs(rows, lambda row: row.threads, 1, 2).items():
        gains = [(one / two, one, label) for one, two, label in pairs]
        worst, _, label = min(gains)
        large = [gain for gain, one, _ in gains if one >= 1e-3]
        mean = geometric_mean([gain for gain, *_ in gains])
        line = [title.replace(", one thread", ""), str(len(gains)), _times(mean), _times(worst)]
        table.append([*line, label, str(len(large)), _times(min(large, default=None))])
    return table


def backward_table(rows: Iterable[Row]) -> list[list[str]]:
    """Header and, by kind of layer, how many times fastconv's forward its backward takes."""
    table = [["layers", "count", "backward / forward", "worst", "worst layer"]]
    for title, pairs in _pairs(rows, lambda row: row.direction, "forward", "backward").items():
        worst, label = max((backward / forward, label) for forward, backward, label in pairs)
        mean = geometric_mean([backward / forward for forward, backward, _ in pairs])
        title = title.replace(", forward", "")
        table.append([title, str(len(pairs)), _times(mean), _times(worst), label])
    return table


def _pairs(
    rows: Iterable[Row], of: Callable[[Row], object], base: object, other: object
) -> dict[str, list[tuple[float, float, str]]]:
    """fastconv's seconds on the layers measured both ways, by section: (base, other, label)."""
    ours = {row.key: row for row in rows if "fastconv" in row.seconds}
    found: dict[str, list[tuple[float, float, str]]] = {}
    for key, row in ours.items():
        if of(row) == base:
            twin = ours.get(tuple(other if part == base else part for part in key))
            if twin is not None:
                pair = (row.seconds["fastconv"], twin.seconds["fastconv"], row.label)
                found.setdefault(next(iter(sections([row]))), []).append(pair)
    return found


def load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """The machine and the rows kept in a JSON file; nothing where there is no file."""
    if not path.exists():
        return {}, []
    content = json.loads(path.read_text())
    return content["machine"], [Row(**row) for row in content["rows"]]


def save(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> list[Row]:
    """Add rows to a JSON file, replacing those of the same layer; return all of them.

    The peak is the highest that any run measured: a busy machine shows less, never more.
    """
    before, kept = load(path)
    machine = machine | {"peak": max(before.get("peak", 0), machine["peak"])}
    merged = {row.key: row for row in kept}
    merged.update({row.key: row for row in rows})
    content = {"machine": machine, "rows": [asdict(row) for row in merged.values()]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return list(merged.values())


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"
