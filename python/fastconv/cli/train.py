"""``fastconv train``: train a network, keep its weights, and picture how it went."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import nn, optim

from ..data import DataLoader
from ..models import get_model, list_models
from ..serialization import save_weights
from . import figures
from .checkpoint import load_checkpoint, restore_momentum, save_checkpoint
from .errors import CommandError, gate, need
from .progress import bar
from .sources import Source, open_source
from .training import Result, cosine, evaluate, train_epoch

__all__ = ["add_parser", "run"]

# What a run is made of; stored in its checkpoint, so that --resume needs no repetition.
DEFAULTS: dict[str, Any] = {
    "model": "simple_cnn",
    "data": "digits",
    "epochs": 20,
    "batch_size": 16,
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-3,
    "augment": False,
    "size": None,
    "seed": 0,
}


def add_parser(commands: Any) -> None:
    """Add ``train`` to the command's parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on pictures",
        description="Train a network; with no options, SimpleCNN on the built-in digits.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add(
        "--model",
        choices=list_models(),
        metavar="NAME",
        help="default simple_cnn; see fastconv info",
    )
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="digits (default), cifar10, mnist or a folder of pictures",
    )
    add("--root", type=Path, metavar="DIR", help="where data sets are kept (default: data)")
    add("--epochs", type=_positive_int, metavar="N", help="default 20")
    add("--batch-size", type=_positive_int, metavar="N", help="default 16")
    add("--lr", type=_positive, metavar="RATE", help="first learning rate (default 0.01)")
    add("--momentum", type=_share, metavar="M", help="default 0.9")
    add("--weight-decay", type=_share, metavar="W", help="default 0.005")
    add("--augment", action="store_true", help="change the training pictures at random")
    add("--size", type=_positive_int, metavar="PIXELS", help="side of the network's input")
    add("--seed", type=_seed, metavar="N", help="of weights, order and augmentation (default 0)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run: its folder or checkpoint")
    add("--output", type=Path, metavar="DIR", help="default runs/MODEL-DATA")
    add("--threads", type=_positive_int, metavar="N", help="threads of the kernels")
    add("--workers", type=_positive_int, metavar="N", help="threads that prepare pictures")
    parser.set_defaults(run=run)


def _positive_int(text: str) -> int:
    value = int(text)
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to below 1, got {text}")
    return value


@dataclass
class Run:
    """A run under way: its options, what is trained, and what happened so far."""

    options: dict[str, Any]
    output: Path
    source: Source
    model: Any
    optimizer: Any
    history: list[dict[str, float]]
    workers: int

    @property
    def checkpoint(self) -> Path:
        return self.output / "checkpoint.safetensors"

    def loader(self, train: bool, epoch: int = 0) -> DataLoader:
        """Batches; their order and augmentation depend on nothing but seed and epoch."""
        return DataLoader(
            self.source.train if train else self.source.test,
            self.options["batch_size"] if train else 256,
            shuffle=train,
            num_workers=self.workers,
            collate_fn=self.source.feed.collate,
            generator=np.random.default_rng([self.options["seed"], epoch]),
        )


def run(args: argparse.Namespace) -> int:
    """Train as the options say."""
    for module in ("tqdm", "matplotlib", "PIL"):
        need(module)
    given = vars(args)
    resumed = _read_checkpoint(args.resume, given) if "resume" in given else None
    options = dict(DEFAULTS)
    if resumed is not None:
        options.update(resumed[2]["options"])
    options.update({key: given[key] for key in DEFAULTS if key in given})
    if "threads" in given:
        fastconv.set_num_threads(args.threads)
    this = _prepare(options, given, resumed)
    done = len(this.history)
    print(
        f"{options['model']} ({_count(this.model):,} parameters) on {options['data']}: "
        f"{len(this.source.train):,} pictures to train on, {len(this.source.test):,} held back"
        + (f"; {done} epochs done" if done else "")
    )
    started = time.perf_counter()
    try:
        result = _train(this)
    except FloatingPointError as error:
        raise CommandError(str(error)) from None
    except KeyboardInterrupt:
        done = len(this.history)
        if done:
            print(
                f"\nstopped after {done} of {options['epochs']} epochs; "
                f"go on with: fastconv train --resume {this.output}"
            )
        raise
    _finish(this, result)
    print(
        f"held-back accuracy {100 * result.accuracy:.2f} % "
        f"after {time.perf_counter() - started:.1f} s; in {this.output}: "
        "weights.safetensors, curves.png, kernels.png, mistakes.png"
    )
    return 0


def _read_checkpoint(path: Path, given: dict[str, Any]) -> Any:
    if path.is_dir():
        path = path / "checkpoint.safetensors"
    clash = sorted(key for key in DEFAULTS if key in given and key != "epochs")
    if clash:
        raise CommandError(
            f"--resume takes its options from the run; leave out --{clash[0].replace('_', '-')}"
        )
    with gate("--resume"):
        state = load_checkpoint(path)
        run = state[2]
        sane = isinstance(run, dict) and isinstance(run.get("history"), list)
        if not sane or set(run.get("options", ())) != set(DEFAULTS):
            raise ValueError(f"{path}: not a checkpoint of fastconv train")
    given.setdefault("output", path.parent)
    return state


def _prepare(options: dict[str, Any], given: dict[str, Any], resumed: Any) -> Run:
    root = given.get("root", Path("data"))
    source = open_source(
        options["data"], root, options["size"], options["augment"], options["seed"]
    )
    fastconv.manual_seed(options["seed"])
    with gate(f"--model {options['model']}"):
        model = get_model(options["model"], num_classes=len(source.feed.classes))
    optimizer = optim.SGD(
        model.parameters(),
        lr=options["lr"],
        momentum=options["momentum"],
        weight_decay=options["weight_decay"],
    )
    history: list[dict[str, float]] = []
    if resumed is not None:
        with gate("--resume"):
            model.load_state_dict(resumed[0])
            restore_momentum(optimizer, resumed[1])
        history = resumed[2]["history"]
        if len(history) >= options["epochs"]:
            raise CommandError(
                f"--resume: the run has its {options['epochs']} epochs; ask for more with --epochs"
            )
    name = Path(options["data"]).name or "pictures"
    output = given.get("output", Path("runs") / f"{options['model']}-{name}")
    run = Run(options, output, source, model, optimizer, history, given.get("workers", 0))
    _try_one(run)
    with gate("--output"):
        output.mkdir(parents=True, exist_ok=True)
        if not os.access(output, os.W_OK):
            raise PermissionError(f"{output} is not writable")
    return run


def _try_one(run: Run) -> None:
    """Send one held-back picture through, so that a misfit shows before anything is written."""
    size = run.source.feed.size
    with gate(f"--model {run.options['model']} does not take pictures of {size}x{size}"):
        picture, label = run.source.test[0]
        inputs, labels = run.source.feed.collate([(picture, label)])
        run.model.eval()
        with fastconv.no_grad():
            nn.CrossEntropyLoss()(run.model(inputs), labels)


def _count(model: Any) -> int:
    return sum(int(parameter.data.size) for parameter in model.parameters())


def _train(run: Run) -> Result:
    options = run.options
    epochs, done = options["epochs"], len(run.history)
    batches = -(-len(run.source.train) // options["batch_size"])
    with bar(epochs * batches, "training", initial=done * batches) as progress:

        def tick(loss: float) -> None:
            progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
            progress.update()

        for epoch in range(done, epochs):
            started = time.perf_counter()
            # Dropout draws from the global generator: seeded anew, a resumed run is the same run.
            fastconv.manual_seed(options["seed"] * 1_000_003 + epoch)
            for group in run.optimizer.param_groups:
                group["lr"] = cosine(options["lr"], epoch, epochs)
            loss, accuracy = train_epoch(run.model, run.optimizer, run.loader(True, epoch), tick)
            result = evaluate(run.model, run.loader(False))
            run.history.append(
                {
                    "train_loss": loss,
                    "train_accuracy": accuracy,
                    "test_loss": result.loss,
                    "test_accuracy": result.accuracy,
                }
            )
            with gate("checkpoint"):
                state = {"options": options, "history": run.history}
                save_checkpoint(run.checkpoint, run.model, run.optimizer, state)
            progress.write(
                f"epoch {epoch + 1:3d}/{epochs}  loss {loss:.4f}  accuracy {100 * accuracy:.2f} %  "
                f"held back: loss {result.loss:.4f}  accuracy {100 * result.accuracy:6.2f} %  "
                f"{time.perf_counter() - started:.1f} s"
            )
    return result


def _finish(run: Run, result: Result) -> None:
    """Write the weights and the pictures."""
    options = run.options
    metadata = {
        "model": options["model"],
        **run.source.feed.metadata(),
        "epochs": str(options["epochs"]),
        "accuracy": f"{result.accuracy:.6f}",
    }
    title = f"{options['model']} on {options['data']}"
    with gate("--output"):
        save_weights(run.output / "weights.safetensors", run.model.state_dict(), metadata)
        figures.plot_curves(run.output / "curves.png", run.history, title)
        first = next(m for m in run.model.modules() if isinstance(m, nn.Conv2d))
        kernels = first.weight.data
        figures.plot_kernels(run.output / "kernels.png", kernels, f"first-layer kernels of {title}")
        figures.plot_mistakes(
            run.output / "mistakes.png",
            lambda index: run.source.test[index][0],
            result.labels,
            result.probabilities,
            run.source.feed.classes,
        )
