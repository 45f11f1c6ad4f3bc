"""The page of results: what was measured on, and every table."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import report
from peak import peak_flops, processor
from report import Row


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    versions = {}
    for name in ("fastconv", "numpy", "torch", "onnxruntime", "openvino"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor(), "system": platform.system(), "python": platform.python_version(),
        "peak": peak_flops(), "versions": versions,
    }  # fmt: skip


def markdown(about: dict[str, Any], rows: list[Row]) -> str:
    """The report as it stands in RESULTS.md."""
    peak = about["peak"]
    versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
    parts = [
        "# Results\n",
        "fastconv beside its peers: NumPy arrays in, NumPy arrays out, interleaved in one process, "
        "medians. A ratio says how many times faster than the fastest peer of the same run: with "
        "raw weights, and with a plan. How it is measured: [README](README.md).\n",
        f"{about['processor']}, {about['system']}, Python {about['python']}; {versions}. "
        f"FMA peak of one core {peak / 1e9:.0f} GFLOP/s (float32).\n",
    ]
    for title, group in report.sections(rows).items():
        by_algorithm = "auto" in group[0].seconds
        table = report.algorithm_table(group) if by_algorithm else report.layer_table(group, peak)
        if by_algorithm:
            summary = f"`auto` is within 5 % of the best row on {report.near_best(group):.0%}.\n"
        else:
            summary = report.as_markdown(report.family_table(group)) + "\n"
        parts += [f"## {title}\n", summary, "<details><summary>Every layer</summary>\n"]
        parts += [report.as_markdown(table) + "\n", "</details>\n"]
    for title, table in (
        ("Two threads against one", report.scaling_table(rows)),
        ("Backward against forward", report.backward_table(rows)),
    ):
        if len(table) > 1:
            parts += [f"## {title}\n", report.as_markdown(table) + "\n"]
    return "\n".join(parts)
