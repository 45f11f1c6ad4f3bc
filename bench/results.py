"""Measure everything and write ``RESULTS.md``: layers, pools, networks, one and two threads.

    python bench/results.py

takes about a quarter of an hour on an idle machine.  Each step is a process of its own that adds
its rows to ``--rows``; ``--steps 3 4`` runs only these steps, ``--steps`` alone none, and the page
is written again from all rows that are there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import report
from page import markdown

HERE = Path(__file__).parent
SHORT = ["--seconds", "0.3", "--rounds", "11"]
TWO = ["--threads", "2", "--seconds", "2", "--rounds", "7"]
STEPS = [
    *(
        ["compare.py", "--direction", direction, "--sizes", sizes, *SHORT]
        for sizes in ("named", "other")
        for direction in ("forward", "backward", "pool", "pool-backward")
    ),
    *(
        ["compare.py", "--direction", direction, *TWO]
        for direction in ("forward", "backward", "pool", "pool-backward")
    ),
    ["compare.py", "--dtype", "float64", *SHORT],
    ["functions.py"],
    ["functions.py", "--layout", "last"],
    ["compare.py", "--algorithms", *SHORT],
    ["compare.py", "--algorithms", "--sizes", "other", *SHORT],
    ["networks.py"],
    ["networks.py", "--train"],
    ["networks.py", "--threads", "2"],
    ["networks.py", "--train", "--threads", "2"],
]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, default=HERE.parent / "build" / "bench-rows.json")
    parser.add_argument("--page", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument(
        "--steps", type=int, nargs="*", default=list(range(len(STEPS))),
        help="; ".join(f"{i}: {' '.join(step)}" for i, step in enumerate(STEPS)),
    )  # fmt: skip
    parser.add_argument("--note", help="what else a reader of the page must know")
    args = parser.parse_args(argv)
    args.rows.parent.mkdir(parents=True, exist_ok=True)
    for step in args.steps:
        script, *options = STEPS[step]
        command = [sys.executable, str(HERE / script), *options, "--json", str(args.rows)]
        subprocess.run(command, check=True)
    about, rows = report.load(args.rows)
    note = f"\n{args.note}\n" if args.note else ""
    args.page.write_text(markdown(about, rows) + note)


if __name__ == "__main__":
    main()
