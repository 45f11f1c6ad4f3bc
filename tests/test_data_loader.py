"""Data sets, samplers and the loader."""

import threading
import time

import numpy as np
import pytest

import fastconv
from fastconv import Tensor
from fastconv.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    Digits,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    load_digits,
    random_split,
    transforms,
)


class Squares(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full(3, index**2, dtype=np.float32), index


def flat(batches: list[list[int]]) -> list[int]:
    return sorted(label for batch in batches for label in batch)


def labels(loader: DataLoader) -> list[list[int]]:
    return [batch.data.tolist() for _, batch in loader]


def test_digits_are_there() -> None:
    images, targets = load_digits()
    assert images.shape == (1797, 3, 32, 32)
    assert images.dtype == np.float32
    assert targets.dtype == np.int64
    assert np.bincount(targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert abs(images.mean()) < 0.01
    assert abs(images.std() - 1) < 0.01
    train, test = load_digits(True), load_digits(False)
    assert len(train[1]) + len(test[1]) == 1797
    assert 0.19 < len(test[1]) / 1797 < 0.21
    assert np.bincount(test[1]).min() >= 34  # every class is held back alike
    assert {row.tobytes() for row in train[0]}.isdisjoint(row.tobytes() for row in test[0])


def test_digits_are_the_published_numbers() -> None:
    published = pytest.importorskip("sklearn.datasets").load_digits()
    from fastconv.data.digits import _scans

    scans, targets = _scans()
    np.testing.assert_array_equal(scans, published.images)
    np.testing.assert_array_equal(targets, published.target)


def test_digits_as_pictures() -> None:
    digits = Digits(train=False, transform=transforms.ToTensor(), target_transform=str)
    picture, name = digits[3]
    assert isinstance(picture, Tensor)
    assert picture.shape == (3, 32, 32)
    assert name == str(digits.targets[3])
    with pytest.raises(TypeError, match="train must be True, False or None"):
        Digits(train="yes")


def test_tensor_dataset_rows_and_batches() -> None:
    x, y = np.arange(12).reshape(6, 2), np.arange(6)
    dataset = TensorDataset(x, y)
    assert dataset[2][0].tolist() == [4, 5]
    assert dataset[np.array([0, 5])][1].tolist() == [0, 5]
    assert len(list(dataset)) == len(dataset) == 6
    with pytest.raises(ValueError, match="first dimensions"):
        TensorDataset(x, y[:5])
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()
    with pytest.raises(ValueError, match="no first dimension"):
        TensorDataset(np.array(3))


def test_concat_and_subset() -> None:
    both = Squares() + Subset(Squares(), [3, 4])
    assert isinstance(both, ConcatDataset)
    assert [both[i][1] for i in (0, 9, 10, 11, -1)] == [0, 9, 3, 4, 4]
    with pytest.raises(IndexError, match="out of range"):
        both[12]


@pytest.mark.parametrize("lengths", [[7, 3], [0.7, 0.3], [0.75, 0.25], [10], [1.0]])
def test_random_split(lengths: list) -> None:
    parts = random_split(Squares(), lengths, generator=1)
    assert sorted(i for part in parts for i in part.indices) == list(range(10))
    assert len(parts) == len(lengths)
    again = random_split(Squares(), lengths, generator=1)
    assert [p.indices for p in parts] == [p.indices for p in again]


@pytest.mark.parametrize("lengths", [[7, 4], [0.5, 0.6], [-1, 11], [3]])
def test_random_split_refuses(lengths: list) -> None:
    with pytest.raises(ValueError, match="random_split: lengths must"):
        random_split(Squares(), lengths)


def test_batches_in_order() -> None:
    loader = DataLoader(Squares(), batch_size=4)
    assert len(loader) == 3
    assert labels(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, y = next(iter(loader))
    assert x.shape == (4, 3)
    assert x.data.dtype == np.float32
    assert y.data.dtype == np.int64
    assert labels(DataLoader(Squares(), 4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_shuffling_is_seeded_and_new_at_every_pass() -> None:
    loader = DataLoader(Squares(), 4, shuffle=True, generator=3)
    first, second = labels(loader), labels(loader)
    assert first != second
    assert flat(first) == flat(second) == list(range(10))
    again = DataLoader(Squares(), 4, shuffle=True, generator=3)
    assert [labels(again), labels(again)] == [first, second]
    fastconv.manual_seed(5)
    third = labels(DataLoader(Squares(), 4, shuffle=True))
    fastconv.manual_seed(5)
    assert labels(DataLoader(Squares(), 4, shuffle=True)) == third


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_change_nothing(workers: int) -> None:
    augment = transforms.Compose(
        [transforms.RandomAffine(20, (0.1, 0.1)), transforms.GaussianNoise(), transforms.ToTensor()]
    )
    digits = Subset(Digits(False, augment), range(40))
    plain = list(DataLoader(digits, 7, shuffle=True, generator=9))
    threaded = list(DataLoader(digits, 7, shuffle=True, generator=9, num_workers=workers))
    assert len(plain) == len(threaded) == 6
    for (x, y), (v, w) in zip(plain, threaded, strict=True):
        np.testing.assert_array_equal(x.data, v.data)
        np.testing.assert_array_equal(y.data, w.data)


def test_leaving_early_stops_the_workers() -> None:
    fetched = []

    class Slow(Squares):
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            fetched.append(index)
            return np.zeros(1), index

    before = threading.active_count()
    for _ in DataLoader(Slow(), num_workers=2):
        break
    time.sleep(0.05)
    assert threading.active_count() == before
    assert len(fetched) < 20


def test_an_error_in_a_worker_arrives() -> None:
    class Broken(Squares):
        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            if index == 5:
                raise OSError("picture 5 is broken")
            return super().__getitem__(index)

    for workers in (0, 2):
        with pytest.raises(OSError, match="picture 5"):
            list(DataLoader(Broken(), 2, num_workers=workers))


def test_tensor_dataset_is_gathered_in_one_go() -> None:
    x, y = load_digits(False)
    loader = DataLoader(TensorDataset(x, y), 64, shuffle=True, generator=0)
    seen = [(a.data, b.data) for a, b in loader]
    assert sum(len(b) for _, b in seen) == len(y)
    order = RandomSampler(y, generator=0)
    assert len(list(order)) == len(y)
    for a, b in seen[:1]:
        row = int(np.flatnonzero((x == a[0]).all(axis=(1, 2, 3)))[0])
        assert y[row] == b[0]


def test_samplers() -> None:
    fastconv.manual_seed(0)
    assert sorted(SubsetRandomSampler([3, 5, 8])) == [3, 5, 8]
    drawn = list(WeightedRandomSampler([0, 1, 3], 4000, generator=1))
    assert 0 not in drawn
    assert 0.7 < drawn.count(2) / 4000 < 0.8
    assert len(list(RandomSampler(range(4), replacement=True, num_samples=9))) == 9
    assert sorted(RandomSampler(range(4), num_samples=8)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    loader = DataLoader(Squares(), batch_sampler=[[1, 2], [0]])
    assert labels(loader) == [[1, 2], [0]]
    assert labels(DataLoader(Squares(), 2, sampler=[9, 8, 7])) == [[9, 8], [7]]


def test_collate() -> None:
    batch = default_collate([{"a": 1, "b": (2.5, "x")}, {"a": 3, "b": (4.5, "y")}])
    assert batch["a"].data.tolist() == [1, 3]
    assert batch["b"][0].data.dtype == np.float32
    assert batch["b"][1] == ["x", "y"]
    assert default_collate([True, False]).data.dtype == np.bool_
    with pytest.raises(ValueError, match="differ in shape"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="differ in length"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(TypeError, match="ToTensor"):
        default_collate([object()])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive int"),
        ({"batch_size": True}, "batch_size must be a positive int"),
        ({"num_workers": -1}, "num_workers"),
        ({"prefetch_factor": 0}, "prefetch_factor"),
        ({"shuffle": True, "sampler": [1]}, "not both"),
        ({"batch_sampler": [[1]], "drop_last": True}, "excludes"),
    ],
)
def test_loader_refuses(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(Squares(), **options)


class _Stream(IterableDataset):
    def __iter__(self):
        return iter(range(7))


def test_streams() -> None:
    loader = DataLoader(_Stream(), batch_size=3, num_workers=2)
    assert [batch.tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(list(DataLoader(_Stream(), 3, drop_last=True))) == 2
    assert list(DataLoader(_Stream() + _Stream(), batch_size=None)) == [*range(7), *range(7)]
    with pytest.raises(ValueError, match="IterableDataset has no order"):
        DataLoader(_Stream(), shuffle=True)
    with pytest.raises(TypeError, match=r"'_Stream' has no len"):
        len(loader)


def test_samples_without_batches() -> None:
    data = TensorDataset(np.arange(6.0).reshape(3, 2), np.arange(3))
    loader = DataLoader(data, batch_size=None, prefetch_factor=None)
    assert len(loader) == 3
    x, y = list(loader)[1]
    assert isinstance(x, fastconv.Tensor)
    assert (x.tolist(), int(y)) == ([2.0, 3.0], 1)
    with pytest.raises(ValueError, match="batch_size=None"):
        DataLoader(data, batch_size=None, shuffle=True)
