"""A picture of the ratios that ``compare.py --json`` kept.

    python bench/plot.py rows.json ratios.svg

One panel for each direction and number of threads, one bar for each layer: how many times faster
fastconv is than its fastest peer, with raw weights, and a mark for the plan.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import report
from report import Row

AHEAD, BEHIND, PLAN = "#2a6f97", "#c1553b", "#e0a526"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture; its format follows the file name."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    groups = {
        title: known
        for title, group in report.sections(rows).items()
        if (known := [row for row in group if row.ratio("fastconv")])
    }
    if not groups:
        raise ValueError("no layer has both fastconv and a peer")
    tallest = max(map(len, groups.values()))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(6.5 * len(groups), 1.5 + 0.22 * tallest), squeeze=False
    )
    for axis, (title, group) in zip(axes[0], groups.items(), strict=True):
        ratios = [row.ratio("fastconv") or 0 for row in group]
        places = range(len(group))
        axis.barh(places, ratios, color=[AHEAD if r >= 1 else BEHIND for r in ratios])
        plans = [(i, p) for i, row in enumerate(group) if (p := row.ratio("plan")) is not None]
        if plans:
            axis.plot(*zip(*((p, i) for i, p in plans), strict=True), "|", color=PLAN, ms=9, mew=3,
                      label="plan")  # fmt: skip
            axis.legend(loc="lower right")
        axis.set_yticks(places, [f"{row.family}: {row.label}" for row in group], fontsize=7)
        axis.invert_yaxis()
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}x")
        axis.axvline(1, color="black", lw=1)
        mean = report.geometric_mean(ratios)
        axis.set_title(f"{title}\ngeometric mean {mean:.2f}x", fontsize=9)
        axis.set_xlabel("times faster than the fastest peer")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, help="file written by compare.py --json")
    parser.add_argument("picture", type=Path, help="file to write, e.g. ratios.svg")
    args = parser.parse_args(argv)
    draw(report.load(args.rows)[1], args.picture)


if __name__ == "__main__":
    main()
