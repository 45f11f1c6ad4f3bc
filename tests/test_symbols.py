"""The per-ISA objects hold one table each and nothing that could leak.

An inline function compiled with AVX2 becomes a weak symbol; if the linker keeps that copy for the
whole library, older machines die of an illegal instruction.  So: one exported symbol an object, no
weak ones, nothing that runs at load time.  And no object may switch subnormals off at load.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from checks import PACKAGE

BUILD = Path(__file__).parent.parent / "build"
OBJECTS = sorted(BUILD.glob("**/kernels/*.o"))
EXTENSIONS = sorted(PACKAGE.glob("_core*.so"))

needs_objects = pytest.mark.skipif(
    not OBJECTS or not shutil.which("nm"), reason="needs the build folder and binutils"
)


def tool(*command: object) -> list[str]:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@needs_objects
def test_every_object_exports_one_symbol_and_no_weak_ones() -> None:
    assert len(OBJECTS) > 1
    for path in OBJECTS:
        symbols = [line.split() for line in tool("nm", path)]
        kinds = [s[-2] for s in symbols]
        exported = [s[-1] for s in symbols if s[-2].isupper() and s[-2] != "U"]
        assert len(exported) == 1, (path.name, exported)
        assert not {"W", "V", "w", "v", "u"} & set(kinds), path


@needs_objects
def test_no_object_runs_code_at_load_time() -> None:
    for path in OBJECTS:
        sections = "\n".join(tool("objdump", "-h", path))
        assert ".init_array" not in sections, path
        assert ".ctors" not in sections, path


@needs_objects
def test_no_object_calls_what_must_not_be_in_a_kernel() -> None:
    """No allocation, exceptions, threads or C++ library: kernels are plain arithmetic."""
    for path in OBJECTS:
        wanted = [line.split()[-1] for line in tool("nm", "-u", path)]
        foreign = [s for s in wanted if s.startswith(("_Zn", "_Zd", "__cxa", "pthread", "_ZNSt"))]
        assert not foreign, (path.name, foreign)


@needs_objects
def test_the_baseline_has_no_instruction_beyond_the_baseline() -> None:
    """Nothing in the baseline kernels, or in what is compiled once, uses a wide register.

    In a wheel's build the latter is compiled as it is linked, its objects hold no code: there only
    a build in place is looked at."""
    once = list(BUILD.glob("**/_core.dir/**/*.o"))
    for path in once + [p for p in OBJECTS if "_baseline" in str(p)]:
        code = "\n".join(tool("objdump", "-d", "--no-show-raw-insn", path))
        assert "%ymm" not in code, path
        assert "%zmm" not in code, path
        assert "vfmadd" not in code, path


@pytest.mark.skipif(not shutil.which("nm"), reason="needs binutils")
def test_the_extension_exports_its_initialiser_alone_and_keeps_subnormals() -> None:
    assert EXTENSIONS
    for path in EXTENSIONS:
        exported = [line.split()[-1] for line in tool("nm", "-D", "--defined-only", path)]
        assert [name for name in exported if name.startswith("PyInit_")] == ["PyInit__core"]
        everything = subprocess.run(["nm", path], capture_output=True, text=True).stdout
        assert "set_fast_math" not in everything
