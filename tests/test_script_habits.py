"""What scripts written for PyTorch say beside the network itself."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import nn, optim


def test_data_has_the_methods_of_tensors() -> None:
    layer = nn.Conv2d(3, 4, 3)
    nn.init.normal_(layer.weight.data, 0.0, 0.02)
    nn.init.constant_(layer.bias.data, 2)
    assert (layer.bias.data == 2).all()
    assert 0 < layer.weight.data.std() < 0.1
    layer.bias.data.sub_(fastconv.ones(4)).mul_(3).copy_(layer.bias.data + 1).clamp_(0, 3.5)
    assert (np.asarray(layer.bias) == 3.5).all()
    assert isinstance(layer.bias.data.zero_(), np.ndarray)
    scores = fastconv.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])
    best = scores.data.max(1, keepdim=True)[1]
    assert best.tolist() == [[1], [2]]
    assert best.eq(fastconv.tensor([1, 0]).data.view_as(best)).sum().item() == 1
    assert scores.data.max(1).tolist() == [3.0, 6.0]  # without PyTorch's names: as NumPy
    assert scores.data.view(3, 2).shape == (3, 2)
    assert scores.data.norm().item() == pytest.approx(np.sqrt(91))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scores.data.nonsense


def test_data_stays_off_the_tape() -> None:
    weight, step = nn.Parameter(fastconv.ones(2)), fastconv.ones(2, requires_grad=True)
    weight.data.add_(step * 2)
    assert weight.is_leaf
    assert weight.tolist() == [3.0, 3.0]


def test_generators() -> None:
    one = fastconv.Generator().manual_seed(3)
    assert one.initial_seed() == 3
    np.testing.assert_array_equal(
        fastconv.rand(4, generator=one), np.random.default_rng(3).random(4, np.float32)
    )
    state, twins = one.get_state(), (copy.deepcopy(one), pickle.loads(pickle.dumps(one)))
    fastconv.randint(9, (3,), generator=one)  # leaves half of a draw behind
    drawn = [
        fastconv.empty(5).normal_(generator=g).tolist() for g in (*twins, one.set_state(state))
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    with pytest.raises(ValueError, match="set_state: new_state"):
        one.set_state(np.zeros(3, np.uint8))
    with pytest.raises(RuntimeError, match="no device 'cuda'"):
        fastconv.Generator("cuda")


def test_the_generator_of_all() -> None:
    assert fastconv.manual_seed(7).initial_seed() == fastconv.initial_seed() == 7
    before = fastconv.get_rng_state()
    first = fastconv.rand(3)
    fastconv.set_rng_state(before)
    with fastconv.random.fork_rng():
        again = fastconv.rand(3)
    assert first.tolist() == again.tolist() == fastconv.rand(3).tolist()
    assert fastconv.seed() == fastconv.initial_seed()


def test_types_of_tensors() -> None:
    assert fastconv.LongTensor([1, 2]).dtype == np.int64
    assert fastconv.FloatTensor(2, 3).shape == (2, 3)
    assert fastconv.ByteTensor(fastconv.ones(2, 2).size()).shape == (2, 2)
    assert isinstance(fastconv.zeros(2), fastconv.FloatTensor)
    assert not isinstance(fastconv.zeros(2), fastconv.LongTensor)
    for kind in (fastconv.DoubleTensor, "torch.DoubleTensor", float):
        assert fastconv.ones(1).type(kind).dtype == (np.float32 if kind is float else np.float64)
    assert fastconv.Tensor([1, 2]).dtype == np.float32
    assert fastconv.Tensor(np.array([1, 2])).dtype == np.int64  # an array is shared as it is
    with pytest.raises(TypeError, match="LongTensor: expected one sequence"):
        fastconv.LongTensor([1], [2])


def test_numpys_names_of_arguments() -> None:
    x = fastconv.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert x.sum(axis=1, keepdims=True).tolist() == [[3.0], [7.0]]
    assert x.argmax(axis=1).tolist() == [1, 0]
    assert x.max(axis=0).values.tolist() == [4.0, 3.0]
    assert fastconv.cat([x, x], axis=1).shape == (2, 4)
    assert fastconv.softmax(x, axis=1).shape == (2, 2)
    assert [p.shape for p in fastconv.split(x, split_size_or_sections=[1, 1], axis=1)] == [
        (2, 1)
    ] * 2
    assert len(x.split(split_size=1)) == 2


def test_indices_of_what_is_not_zero() -> None:
    x = fastconv.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert fastconv.nonzero(x).tolist() == [[0, 1], [1, 0]]
    rows, columns = x.nonzero(as_tuple=True)
    assert x[rows, columns].tolist() == [2.0, 3.0]
    assert fastconv.nonzero(np.array(5), as_tuple=True)[0].tolist() == [0]


def test_mixed_precision_changes_nothing() -> None:
    scaler, x = fastconv.cuda.amp.GradScaler(), nn.Parameter(fastconv.ones(2))
    optimizer = optim.SGD([x], lr=0.5, foreach=True)

    @fastconv.autocast("cpu")
    def loss() -> fastconv.Tensor:
        return (x * 2).sum()

    with fastconv.amp.autocast("cpu", dtype=fastconv.float16, enabled=False):
        scaler.scale(loss()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    scaler.load_state_dict(scaler.state_dict())
    assert x.tolist() == [0.0, 0.0]
    assert scaler.get_scale() == 1
    assert not scaler.is_enabled()


def test_switches() -> None:
    layer = nn.ReLU()
    assert fastconv.compile(layer, mode="max-autotune") is layer
    assert fastconv.compile(dynamic=True)(layer) is layer
    fastconv.set_float32_matmul_precision("high")
    with pytest.raises(ValueError, match="precision must be"):
        fastconv.set_float32_matmul_precision("low")
    fastconv.use_deterministic_algorithms(True)
    assert fastconv.are_deterministic_algorithms_enabled()
    fastconv.set_default_device("cpu")
    with pytest.raises(RuntimeError, match="no device 'cuda'"):
        fastconv.set_default_device("cuda")
    fastconv.set_default_tensor_type(fastconv.DoubleTensor)
    try:
        assert fastconv.zeros(1).dtype == np.float64
    finally:
        fastconv.set_default_tensor_type("torch.FloatTensor")
    assert not fastconv.distributed.is_initialized()
    assert (fastconv.distributed.get_rank(), fastconv.distributed.get_world_size()) == (0, 1)
    with pytest.raises(AssertionError, match="wrong"):
        fastconv._assert(False, "wrong")


def test_data_parallel() -> None:
    net = nn.DataParallel(nn.Linear(2, 3), device_ids=[0])
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    assert net(fastconv.ones(1, 2)).shape == (1, 3)


LAZY = [
    ("Conv1d", (4, 3), (2, 3, 8)),
    ("Conv2d", (9, 3, 2, 1, 1, 3), (2, 6, 8, 8)),
    ("Conv3d", (4, 2), (2, 3, 4, 4, 4)),
    ("ConvTranspose2d", (4, 2, 2), (2, 6, 4, 4)),
    ("Linear", (5,), (2, 7, 3)),
    ("BatchNorm1d", (), (3, 5)),
    ("BatchNorm2d", (), (2, 5, 3, 3)),
    ("InstanceNorm2d", (1e-3, 0.1, True, True), (2, 5, 3, 3)),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), LAZY)
def test_lazy_layers(name: str, arguments: tuple, shape: tuple) -> None:
    x = fastconv.randn(shape)
    layer = getattr(nn, f"Lazy{name}")(*arguments)
    channels = shape[-1] if name == "Linear" else shape[1]
    ready = getattr(nn, name)(channels, *arguments)
    assert isinstance(layer, getattr(nn, name))
    assert type(layer).__name__ in repr(layer)
    parameters = list(layer.parameters())
    assert all(isinstance(p, nn.UninitializedParameter) for p in parameters)
    optimizer = optim.SGD(layer.parameters(), lr=0.1) if parameters else None
    layer(x).square().sum().backward()
    assert type(layer) is type(ready)
    assert repr(layer) == repr(ready)
    assert [*map(id, parameters)] == [*map(id, layer.parameters())]
    assert {type(p) for p in parameters} <= {nn.Parameter}
    if optimizer is not None:
        optimizer.step()
    assert [p.shape for p in layer.parameters()] == [p.shape for p in ready.parameters()]
    ready.load_state_dict(layer.state_dict())
    other = getattr(nn, f"Lazy{name}")(*arguments)
    other.load_state_dict(ready.state_dict())
    assert type(other) is type(ready)
    np.testing.assert_array_equal(other.eval()(x).detach(), ready.eval()(x).detach())


def test_lazy_networks_train() -> None:
    net = nn.Sequential(
        nn.LazyConv2d(6, kernel_size=5, padding=2), nn.LazyBatchNorm2d(), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip
    assert repr(net[0]) == ("LazyConv2d(0, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))")
    net(fastconv.randn(2, 1, 8, 8))
    before = net[0].weight.tolist()
    net[0].weight.data[:] -= 0.1 * fastconv.ones(6, 1, 5, 5)
    assert net[0].weight.tolist() != before
    assert net(fastconv.randn(4, 1, 8, 8)).shape == (4, 3)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adadelta", "NAdam"])
def test_training_goes_on_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    """Written and read here, and what PyTorch's optimizer keeps, read here."""
    torch = pytest.importorskip("torch")
    settings = {"lr": 0.1} | ({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})
    start, slopes = np.ones(3), np.random.default_rng(0).normal(size=(6, 3))

    def run(library: object, weight: object, optimizer: object, rows: object) -> None:
        for row in rows:
            weight.grad = library.tensor(row)
            optimizer.step()

    theirs = torch.nn.Parameter(torch.tensor(start))
    reference = getattr(torch.optim, name)([theirs], **settings)
    run(torch, theirs, reference, slopes[:3])
    ours = nn.Parameter(start.copy())
    optimizer = getattr(optim, name)([ours], **settings)
    run(fastconv, ours, optimizer, slopes[:3])
    fastconv.save({"optimizer": optimizer.state_dict()}, tmp_path / "ours.pth.tar")
    torch.save({"optimizer": reference.state_dict()}, tmp_path / "theirs.pth")
    run(torch, theirs, reference, slopes[3:])
    for file in ("ours.pth.tar", "theirs.pth"):
        again = nn.Parameter(ours.detach().clone())
        resumed = getattr(optim, name)([again], **settings)
        resumed.load_state_dict(fastconv.load(tmp_path / file)["optimizer"])
        run(fastconv, again, resumed, slopes[3:])
        np.testing.assert_allclose(again.data, theirs.detach(), rtol=1e-7)


def test_paths_of_layers() -> None:
    from fastconv.nn.modules.batchnorm import _BatchNorm

    from fastconv.nn.modules.utils import _pair

    assert isinstance(nn.BatchNorm2d(1), _BatchNorm)
    assert _pair(3) == (3, 3) == _pair([3, 3])
    assert nn.modules.conv.Conv2d is nn.Conv2d

    assert nn.parallel.DataParallel is nn.DataParallel


def test_lists_print_runs() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh())])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Sequential(\n    (0): Tanh()\n  )\n)"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"


OPTIMIZERS = [
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_optimizers_step_as_pytorchs(name: str, settings: dict) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = rng.normal(size=(4, 3))
    theirs, ours = torch.nn.Parameter(torch.tensor(start)), nn.Parameter(start.copy())
    reference = getattr(torch.optim, name)([theirs], **settings)
    optimizer = getattr(optim, name)([ours], **settings)
    for _ in range(12):
        g = rng.normal(size=start.shape)
        theirs.grad, ours.grad = torch.tensor(g), fastconv.tensor(g)
        reference.step()
        optimizer.step()
        np.testing.assert_allclose(ours.data, theirs.detach(), rtol=1e-8)


def test_optimizers_refuse_what_is_no_argument() -> None:
    weights = [nn.Parameter(fastconv.ones(1))]
    with pytest.raises(TypeError, match="NAdam: there is no argument 'foreac'"):
        optim.NAdam(weights, foreac=True)
    with pytest.raises(ValueError, match="rho must lie in"):
        optim.Adadelta(weights, rho=2)


def test_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastconv import hub
    from fastconv.utils.model_zoo import load_url

    source, cache = tmp_path / "net.pth", tmp_path / "cache"
    fastconv.save({"w": fastconv.ones(2)}, source)
    digits = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    published = source.rename(tmp_path / f"net-{digits}.pth").as_uri()
    monkeypatch.setattr(hub, "_dir", None)
    hub.set_dir(cache)
    state = load_url(published, progress=False, check_hash=True)
    assert state["w"].tolist() == [1.0, 1.0]
    assert (cache / "checkpoints" / f"net-{digits}.pth").is_file()
    (tmp_path / f"net-{digits}.pth").unlink()
    assert hub.load_state_dict_from_url(published)["w"].tolist() == [1.0, 1.0]  # kept
    with pytest.raises(RuntimeError, match="Without network: put the file at"):
        hub.load_state_dict_from_url((tmp_path / "none.pth").as_uri())
    (tmp_path / "net-00000000.pth").write_bytes(b"another")
    with pytest.raises(RuntimeError, match="does not start with 00000000"):
        load_url((tmp_path / "net-00000000.pth").as_uri(), check_hash=True)
    assert len(list((cache / "checkpoints").iterdir())) == 1


def test_whole_numbers_bit_by_bit() -> None:
    """Not as truth values: those are what comparisons give."""
    x, mask = fastconv.tensor([6, 3]), fastconv.tensor([True, False])
    assert (x & 3).tolist() == [2, 3]
    assert (3 | x).tolist() == [7, 3]
    assert (x ^ x).tolist() == [0, 0]
    assert (~x).tolist() == [-7, -4]
    assert (~mask & (x > 2)).tolist() == [False, True]


def test_one_hot_by_scattering() -> None:
    classes = fastconv.tensor([[2], [0]])
    assert fastconv.zeros(2, 3).scatter_(1, classes, 1).tolist() == [[0, 0, 1], [1, 0, 0]]
    scores = fastconv.zeros(2, 3, requires_grad=True)
    (scores * 2).scatter(1, classes, 5.0).sum().backward()
    assert scores.grad.tolist() == [[2, 2, 0], [0, 2, 2]]


def test_windows_of_a_tensor() -> None:
    x = fastconv.arange(24.0).reshape(2, 12).requires_grad_()
    y = x.unfold(1, 4, 3)
    assert y.shape == (2, 3, 4)
    assert y[1, 2].tolist() == [18.0, 19.0, 20.0, 21.0]
    y.sum().backward()
    assert x.grad[0].tolist() == [1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 0, 0]
    with pytest.raises(ValueError, match=r"unfold: size must lie in \[0, 12\]"):
        x.unfold(1, 13, 1)


def test_shapes_in_place() -> None:
    x = fastconv.arange(6.0)
    assert x.unsqueeze_(0) is x
    assert x.t_().shape == (6, 1)
    x[2, 0] = 9
    assert x.squeeze_().tolist() == [0, 1, 9, 3, 4, 5]
    leaf = fastconv.ones(2, requires_grad=True)
    y = (leaf * 2).unsqueeze_(0)
    y.sum().backward()
    assert leaf.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.unsqueeze_(0)


def test_draws_by_probability() -> None:
    chances = fastconv.tensor([[0.0, 3.0, 1.0], [1.0, 0.0, 0.0]])
    drawn = fastconv.multinomial(chances, 2000, True, generator=fastconv.Generator()).numpy()
    assert drawn.shape == (2, 2000)
    assert (drawn[1] == 0).all()
    np.testing.assert_allclose(np.bincount(drawn[0]) / 2000, [0, 0.75, 0.25], atol=0.05)
    assert sorted(chances[0].multinomial(2).tolist()) == [1, 2]
    with pytest.raises(ValueError, match="without replacement"):
        fastconv.multinomial(chances, 2)
    with pytest.raises(ValueError, match="not negative"):
        fastconv.multinomial(-chances, 1)


def test_what_is_no_array_is_named() -> None:
    x = np.ones((2, 3, 4), np.float32)
    for call, words in (
        (lambda: fastconv.sum(x, "rows"), "sum: dim must be"),
        (lambda: fastconv.sum(x, 0.5), "sum: dim must be"),
        (lambda: fastconv.amax("x"), "amax: input must be an array or a Tensor, got str"),
        (lambda: fastconv.unsqueeze(x, None), "unsqueeze: dim must be a whole number, got None"),
        (lambda: fastconv.reshape(x, (2, 1.5)), "expected whole numbers"),
        (lambda: fastconv.instance_norm(x, weight=3), "norm: weight must be an array"),
        (lambda: fastconv.adaptive_avg_pool1d_backward(3, x, 2), "_backward: grad_output must be"),
        (lambda: fastconv.mse_loss_backward(x, 1.0, x), "mse_loss_backward: input must be"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


def test_out_is_checked_before_it_is_written() -> None:
    x, w = np.ones((1, 2, 4, 4), np.float32), np.ones((2, 3, 2, 2), np.float32)
    y = fastconv.conv_transpose2d(x, w)
    closed = np.zeros_like(y)
    closed.flags.writeable = False
    whole = np.zeros(y.size + 8, np.float32)
    inside = whole[: x.size].reshape(x.shape)
    for given, out, error, words in (
        (x, closed, ValueError, "conv_transpose2d: out must be writable"),
        (x, y.astype(np.float64), TypeError, "conv_transpose2d: out must be float32"),
        (x, y[..., :1], ValueError, "conv_transpose2d: out must have shape"),
        (x, [0.0], TypeError, "conv_transpose2d: out must be an array, but got list"),
        (inside, whole[8:].reshape(y.shape), ValueError, "out must not overlap an input"),
    ):
        with pytest.raises(error, match=words):
            fastconv.conv_transpose2d(given, w, out=out)
    assert not whole.any()
    assert fastconv.conv_transpose2d(x, w, out=closed.copy()).tolist() == y.tolist()
