"""Longer and optional checks; the README's test command is enough for a change."""

from __future__ import annotations

import subprocess

import nox

nox.options.sessions = ["tests", "lint"]


@nox.session(python=["3.10", "3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.install(".[test]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters."""
    session.install(".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    files = subprocess.check_output(["git", "ls-files", "*.h", "*.cpp"], text=True).split()
    session.run("clang-format", "--dry-run", "-Werror", *files)


@nox.session
def asan(session: nox.Session) -> None:
    """Run the kernel tests under AddressSanitizer and UndefinedBehaviourSanitizer."""
    session.install(".[test]", "--config-settings=cmake.define.FASTCONV_SANITIZE=ON")
    names = ("libasan.so", "libstdc++.so.6")  # the second: its exceptions are intercepted
    runtime = " ".join(
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in names
    )
    session.run(
        "pytest",
        "-q",
        "-k",
        "conv or pool or winograd or depthwise or rows or resample or operators",
        *session.posargs,
        env={
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        },
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Measure beside the peers and write bench/RESULTS.md (PyTorch: use its CPU build)."""
    session.install(".[bench]")
    session.run("python", "bench/results.py", *session.posargs)
