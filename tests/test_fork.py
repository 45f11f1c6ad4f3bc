"""Forking after, during and before parallel work never hangs, and children compute.

Each scene runs in a process of its own with a time limit, because the failure is a child that waits
for threads it does not have.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from checks import python

# What each child does: a convolution large enough to use the whole team, with its known answer.
PRELUDE = """
import multiprocessing, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import fastconv

fastconv.set_num_threads(2)
x = np.ones((4, 16, 40, 40), np.float32)
w = np.ones((16, 16, 3, 3), np.float32)

def conv(_=None):
    y = fastconv.conv2d(x, w)
    g = fastconv.conv2d_backward(y, x, w)
    p = fastconv.max_pool2d(y, 2)
    return all(np.allclose(a, b) for a, b in [(y, 144), (p, 144), (g.weight, 144 * 4 * 38 * 38)])

def forked(work=conv):
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 3)
    return os.waitpid(child, 0)[1] == 0

def nested():
    return conv() and forked()

def main():
    {scene}

if __name__ == "__main__":
    assert main()
    print("done")
"""

BUSY = """
    stop = threading.Event()
    def spin():
        while not stop.is_set():
            conv()
    others = [threading.Thread(target=spin) for _ in range(2)]
    for t in others: t.start()
    time.sleep(0.1)
    try:
        return all({work} for _ in range({times})) and conv()
    finally:
        stop.set()
        for t in others: t.join()
"""

SCENES = {
    "fork, pool idle": "return forked() and conv()",
    "fork, pool used": "return conv() and forked() and conv()",
    "fork, one thread then four": (
        "fastconv.set_num_threads(1); conv(); fastconv.set_num_threads(4); conv()\n"
        "    return forked() and conv()"
    ),
    "fork, twenty times": "return conv() and all(forked() and conv() for _ in range(20))",
    "fork in a forked child": "return conv() and forked(nested) and conv()",
    "fork from another thread": (
        "conv(); ok = []\n"
        "    t = threading.Thread(target=lambda: ok.append(conv() and forked() and conv()))\n"
        "    t.start(); t.join(); return ok[0] and conv()"
    ),
    "fork, others computing": BUSY.format(work="forked()", times=40).strip(),
    "multiprocessing fork": (
        "conv()\n    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        return all(pool.map(conv, range(6))) and conv()"
    ),
    "multiprocessing spawn": (
        "conv()\n    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        return all(pool.map(conv, range(4))) and conv()"
    ),
    "multiprocessing forkserver": (
        "conv()\n    with multiprocessing.get_context('forkserver').Pool(2) as pool:\n"
        "        return all(pool.map(conv, range(4))) and conv()"
    ),
    "process pool": (
        "conv()\n    with ProcessPoolExecutor(2) as pool:\n"
        "        return all(pool.map(conv, range(6))) and conv()"
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("scene", SCENES)
def test_fork(scene: str, tmp_path: Path) -> None:
    script = tmp_path / "scene.py"
    script.write_text(PRELUDE.replace("{scene}", SCENES[scene]))
    # CPython warns of forking where other threads of the program compute, as some scenes do.
    done = python("-W", "ignore::DeprecationWarning", str(script), timeout=150)
    assert done.stdout.endswith("done\n")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_no_idle_worker_is_alive_at_a_fork(tmp_path: Path) -> None:
    """So CPython finds nothing to warn of: it counts the threads right after."""
    script = tmp_path / "scene.py"
    scene = (
        "conv(); child = os.fork()\n"
        "    if child == 0: os._exit(0)\n"
        "    alive = len(os.listdir('/proc/self/task')); os.waitpid(child, 0)\n"
        "    return alive == 1 and conv()"
    )
    script.write_text(PRELUDE.replace("{scene}", scene))
    assert python(str(script)).stdout.endswith("done\n")


# Beside users of OpenMP ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("order", ["torch, fastconv", "fastconv, torch"])
def test_beside_torch_in_either_order(order: str, tmp_path: Path) -> None:
    """An OpenMP runtime in the same process: both compute, and children of fastconv still do."""
    pytest.importorskip("torch")
    script = tmp_path / "scene.py"
    scene = (
        "t = torch.ones(64, 64, 3, 3)\n"
        "    torch.nn.functional.conv2d(torch.ones(4, 64, 40, 40), t)\n"
        "    return conv() and forked() and conv()"
    )
    script.write_text(f"import {order}\n" + PRELUDE.replace("{scene}", scene))
    done = python("-W", "ignore", str(script), timeout=150)
    assert done.stdout.endswith("done\n")
