"""fastconv beside its peers, interleaved in one process, as ratios.

    python bench/compare.py                                   every named layer, forward
    python bench/compare.py --direction backward --threads 1 2
    python bench/compare.py --sizes other --family depthwise grouped
    python bench/compare.py --problem "n1c64h56w56 k64r3s3 p1"
    python bench/compare.py --algorithms                      auto against every registry row
    python bench/compare.py --direction all --sizes all --threads 1 2 --markdown bench/RESULTS.md

A ratio of 2x means: twice as fast as the fastest peer of that run.  ``bench/README.md`` tells how
the numbers are made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import layers
import peers
import report
from page import machine, markdown
from problems import Problem, parse
from report import Row
from timing import SETTLE_SECONDS, WARM_SECONDS, Call, measure

ALL = ("forward", "backward", "pool", "pool-backward")
TOLERANCE = 1e-4  # of the largest output; the tests hold the real bounds


def chosen(args: argparse.Namespace) -> Iterator[tuple[str, str, str, str, Problem]]:
    """The layers asked for, as (direction, sizes, family, label, problem)."""
    for direction in ALL if args.direction == "all" else (args.direction,):
        passes = {"pool": "forward", "pool-backward": "backward"}.get(direction, direction)
        for text in args.problem or ():
            yield passes, "given", "given", text, parse(text)
        for sizes, known in (("named", layers.NAMED), ("other", layers.OTHER)):
            if args.problem or args.sizes not in (sizes, "all"):
                continue
            for family in args.family or known:
                for label, problem in known.get(family, {}).items():
                    if (problem.op != "conv") == direction.startswith("pool"):
                        problem = replace(problem, dtype=args.dtype)
                        yield passes, sizes, family, label, problem


def contestants(problem: Problem, direction: str, found: dict[str, peers.Peer]) -> dict[str, Call]:
    """Every peer that can do the problem, its result compared with the first one's."""
    data, calls, first = problem.data(), {}, None
    for name, prepare in found.items():
        call = prepare(problem, direction, data)
        if call is None:
            continue
        result = call()
        first = result if first is None else first
        error = peers.largest_error(first, result)
        if not error <= TOLERANCE:
            raise SystemExit(
                f"{problem}: {name} differs from {next(iter(calls), name)} by {error:.1e}"
            )
        calls[name] = call
    return calls


def algorithm_calls(problem: Problem, direction: str) -> dict[str, Call]:
    """``auto`` and every row of the registry that supports the problem."""
    from fastconv import _core

    data, calls = problem.data(), {}
    for name in ["auto", *_core.algorithms(direction)]:
        try:
            call = peers.fastconv_peer(problem, direction, data, name)
            call()
        except ValueError:  # this row does not support the problem
            continue
        calls[name] = call
    return calls


def run(args: argparse.Namespace) -> list[Row]:
    """Measure, printing each layer as it is done."""
    rows, section = [], None
    for threads in args.threads:
        found = peers.available(["fastconv"] if args.algorithms else args.peers, threads)
        warm = WARM_SECONDS if threads > 1 else SETTLE_SECONDS
        for direction, sizes, family, label, problem in chosen(args):
            if section != (section := f"[{family}] {direction}, {threads} thread(s)"):
                print(section, flush=True)
            if args.algorithms:
                calls = algorithm_calls(problem, direction)
            else:
                calls = contestants(problem, direction, found)
            if not calls:
                continue
            seconds = measure(calls, args.rounds, args.seconds, warm=warm)
            title = f"{direction} by algorithm" if args.algorithms else direction
            row = Row(title, threads, sizes, family, label, str(problem), seconds)
            times = "  ".join(f"{name} {s * 1e3:.4g}" for name, s in seconds.items())
            ratio = row.ratio("fastconv")
            print(f"  {label:22} {f'{ratio:5.2f}x' if ratio else '':8}{times} ms", flush=True)
            rows.append(row)
    return rows


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--direction", default="forward",
        choices=["forward", "backward", "input", "weight", "pool", "pool-backward", "all"],
        help="convolution passes ('input' and 'weight' are one gradient alone), pools, or all",
    )  # fmt: skip
    parser.add_argument("--sizes", default="named", choices=["named", "other", "all"])
    parser.add_argument("--family", nargs="+", help="only these families")
    parser.add_argument("--problem", action="append", help="only this problem (may be repeated)")
    parser.add_argument("--peers", nargs="+", help=f"only these of {', '.join(peers.PEERS)}")
    parser.add_argument("--algorithms", action="store_true", help="registry rows beside auto")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=21, help="most turns per contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each layer")
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    parser.add_argument("--markdown", type=Path, help="write a report (of all rows in --json)")
    args = parser.parse_args(argv)
    known = {**layers.NAMED, **layers.OTHER}
    for family in args.family or ():
        if family not in known:
            parser.error(f"--family {family}: expected one of {', '.join(known)}")
    if args.algorithms and args.direction not in ("forward", "input", "weight"):
        parser.error("--algorithms: expected --direction forward, input or weight")
    return args


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    rows = run(args)
    if not rows:
        print("no layer fits the choice")
        return 1
    for title, group in report.sections(rows).items():
        table = report.algorithm_table if args.algorithms else report.family_table
        print("\n" + title + "\n" + report.as_text(table(group)))
    if args.algorithms:
        print(f"\nauto within 5 % of the best row: {report.near_best(rows):.0%} of the layers")
    about = machine()
    if args.json:
        rows = report.save(args.json, about, rows)
    if args.markdown:
        args.markdown.write_text(markdown(about, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
