"""Every instruction set this machine has gives the same exact results, when forced by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastconv
from checks import available_isas, python

HERE = Path(__file__).parent
ISAS = available_isas()


def forced(isa: str, code: str) -> str:
    return python("-c", code, FASTCONV_ISA=isa).stdout.strip()


def test_there_is_a_baseline_and_the_best_is_the_default() -> None:
    assert "baseline" in ISAS or "neon" in ISAS
    name = "import fastconv; print(fastconv.build_info()['isa'])"
    assert {isa: forced(isa, name) for isa in ISAS} == {isa: isa for isa in ISAS}
    assert python("-c", name, FASTCONV_ISA="").stdout.strip() == ISAS[-1]


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 ", "avx2,avx512"])
def test_an_unknown_name_is_an_import_error_that_lists_the_choices(name: str) -> None:
    done = python("-c", "import fastconv", check=False, FASTCONV_ISA=name)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "FASTCONV_ISA" in last
    assert name in last
    assert all(isa in last for isa in ISAS)


def test_an_instruction_set_of_another_machine_is_refused() -> None:
    absent = next(isa for isa in ("neon", "avx512", "avx2") if isa not in ISAS)
    done = python("-c", "import fastconv", check=False, FASTCONV_ISA=absent)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert absent in last
    assert all(isa in last for isa in ISAS)


@pytest.mark.parametrize("isa", ISAS)
def test_exact_tests_pass_on_every_instruction_set(isa: str) -> None:
    """The very tests that hold the default set to the reference, run again under each other."""
    if isa == fastconv.build_info()["isa"]:
        return  # this process runs them
    files = [str(HERE / f"test_{name}.py") for name in ("conv_forward", "conv_backward")]
    files += [str(HERE / f"test_{name}.py") for name in ("pool_forward", "pool_backward")]
    python(
        *("-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider"),
        *("-k", "not layout and not differences and not random", *files),
        timeout=280,
        FASTCONV_ISA=isa,
    )


def test_results_agree_across_instruction_sets() -> None:
    code = """
import json, numpy as np, fastconv
rng = np.random.default_rng(0)
x = rng.integers(-8, 9, (2, 16, 19, 23)).astype("f4")
w = rng.integers(-8, 9, (24, 16, 3, 3)).astype("f4")
y = fastconv.conv2d(x, w, padding=1, algorithm="im2col")
g = fastconv.conv2d_backward(y[:, :, ::1], x, w, padding=1)
print(json.dumps([float(a.astype("f8").sum()) for a in (y, g.bias, fastconv.max_pool2d(x, 3))]))
"""
    assert len({forced(isa, code) for isa in ISAS}) == 1
    assert all(np.isfinite(json.loads(forced(ISAS[0], code))))


def test_the_build_describes_itself() -> None:
    info = fastconv.build_info()
    assert info["isa"] in ISAS
    assert info["available_isas"] == ISAS[::-1]  # best first
    for key in ("compiler", "openmp", "flags"):
        assert info[key], key
    assert not any(flag in info["flags"] for flag in ("fast-math", "Ofast", "march=native"))


def test_show_config_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    fastconv.show_config()
    shown = capsys.readouterr().out
    assert fastconv.build_info()["isa"] in shown
    assert fastconv.__version__ in shown
