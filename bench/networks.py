"""Whole networks beside the peers: inference at 224x224, and training steps.

    python bench/networks.py                              inference of every network, batch 1
    python bench/networks.py --train                      training steps
    python bench/networks.py --network ResNet-18 --batch 8 --threads 2

Inference goes from a NumPy array to a NumPy array.  fastconv and PyTorch (NCHW and channels-last)
run the module as users do, in eval mode without gradients; ONNX Runtime and OpenVINO run the graph
exported from PyTorch, with their own fusions.  All have the same weights, and their results are
compared before anything is timed.  A training step is forward, cross-entropy, backward and SGD
with momentum.
"""

from __future__ import annotations

import argparse
import io
import warnings
from pathlib import Path

import numpy as np
import torch

import peers
import report
from page import machine
from report import Row
from timing import SETTLE_SECONDS, WARM_SECONDS, Call, measure
from zoo import NETWORKS, build

TRAINING = {"SimpleCNN": (64, 32), "ResNet-18": (16, 64), "MobileNetV2": (16, 64),
            "ResNet-50": (8, 64), "SqueezeNet": (16, 64)}  # fmt: skip  # batch, picture size


def exported(model: torch.nn.Module, x: np.ndarray) -> bytes:
    """The ONNX graph of a PyTorch model."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated
        torch.onnx.export(
            model, (torch.from_numpy(x),), buffer, dynamo=False, input_names=["x"],
            output_names=["y"],
        )  # fmt: skip
    return buffer.getvalue()


def twin(model: torch.nn.Module, name: str):
    """The fastconv network with the weights of a PyTorch one."""
    import fastconv

    ours = build(name, fastconv)
    ours.load_state_dict({key: value.numpy().copy() for key, value in model.state_dict().items()})
    return ours


def inference(name: str, x: np.ndarray, threads: int, wanted: list[str]) -> dict[str, Call]:
    model = build(name, torch).eval()
    calls: dict[str, Call] = {}
    if "fastconv" in wanted:
        import fastconv

        ours = twin(model, name).eval()

        def run() -> np.ndarray:
            with fastconv.no_grad():
                return np.asarray(ours(fastconv.from_numpy(x)))

        calls["fastconv"] = run
    inference_mode = torch.inference_mode()
    if "torch" in wanted:
        calls["torch"] = inference_mode(lambda: model(torch.from_numpy(x)).numpy())
    graph = exported(model, x)
    if "ort" in wanted:
        import peer_onnx

        calls["ort"] = peer_onnx.ort_session(graph, x, threads)
    if "openvino" in wanted:
        import peer_onnx

        calls["openvino"] = peer_onnx.openvino_request(graph, x, threads)
    if "torch-nhwc" in wanted:
        last = build(name, torch).eval()
        last.load_state_dict(model.state_dict())
        last = last.to(memory_format=torch.channels_last)
        x_last = torch.from_numpy(x).to(memory_format=torch.channels_last).numpy()
        calls["torch-nhwc"] = inference_mode(lambda: last(torch.from_numpy(x_last)).numpy())
    return calls


def training(name: str, x: np.ndarray, y: np.ndarray, wanted: list[str]) -> dict[str, Call]:
    """One training step each, returning the loss; the first steps start from equal weights."""

    def step(lib, model, pictures, labels) -> Call:
        criterion = lib.nn.CrossEntropyLoss()
        optimizer = lib.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
        model.train()

        def run() -> float:
            optimizer.zero_grad()
            loss = criterion(model(pictures), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return run

    start = build(name, torch)
    calls: dict[str, Call] = {}
    if "fastconv" in wanted:
        import fastconv
        import fastconv.optim

        arrays = (fastconv.tensor(x), fastconv.tensor(y))
        calls["fastconv"] = step(fastconv, twin(start, name), *arrays)
    for contestant in ("torch", "torch-nhwc"):
        if contestant in wanted:
            model, pictures = build(name, torch), torch.from_numpy(x)
            model.load_state_dict(start.state_dict())
            if contestant == "torch-nhwc":
                model = model.to(memory_format=torch.channels_last)
                pictures = pictures.to(memory_format=torch.channels_last)
            calls[contestant] = step(torch, model, pictures, torch.from_numpy(y))
    return calls


def check(name: str, calls: dict[str, Call]) -> None:
    """Every contestant's result against the first one's."""
    first = None
    for contestant, call in calls.items():
        result = np.array(call())
        first = result if first is None else first
        error = peers.largest_error(first, result)
        if not error < 2e-3:
            raise SystemExit(
                f"{name}: {contestant} differs from {next(iter(calls))} by {error:.1e}"
            )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", nargs="+", choices=list(NETWORKS))
    parser.add_argument("--train", action="store_true", help="training steps, not inference")
    parser.add_argument("--batch", type=int, help="pictures at a time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each network")
    parser.add_argument("--peers", nargs="+", help=f"only these of {', '.join(peers.PEERS)}")
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    args = parser.parse_args(argv)
    wanted = list(peers.available(args.peers, args.threads))
    names = args.network or list(TRAINING if args.train else NETWORKS)

    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    rows = []
    for name in names:
        shape, classes = NETWORKS[name]
        batch, size = TRAINING.get(name, (8, 64)) if args.train else (1, shape[-1])
        batch = args.batch or batch
        x = rng.standard_normal((batch, 3, size, size), np.float32)
        if args.train:
            calls = training(name, x, rng.integers(0, classes, batch), wanted)
        else:
            calls = inference(name, x, args.threads, wanted)
        check(name, calls)
        warm = WARM_SECONDS if args.threads > 1 else SETTLE_SECONDS
        seconds = measure(calls, args.rounds, args.seconds, warm)
        what = f"{batch} x 3 x {size} x {size}"
        direction = "training step" if args.train else "inference"
        rows.append(Row(direction, args.threads, "named", "networks", name, what, seconds))
        times = "  ".join(f"{contestant} {s * 1e3:.4g}" for contestant, s in seconds.items())
        ratio = rows[-1].ratio("fastconv")
        print(f"{name:16} {f'{ratio:5.2f}x' if ratio else '':8}{times} ms", flush=True)
    print("\n" + report.as_text(report.family_table(rows)))
    if args.json:
        report.save(args.json, machine(), rows)


if __name__ == "__main__":
    main()
