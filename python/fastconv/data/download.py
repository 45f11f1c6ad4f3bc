"""Fetching a data set's published files: checked by digest, whole or not at all."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ..serialization.files import replacing

__all__ = ["RemoteFile", "chunks", "fetch"]

_CHUNK = 1 << 18
_TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class RemoteFile:
    """A published file: where it is, how long it may be, and the MD5 its publisher states.

    MD5 guards against damage on the way; against malice guard HTTPS and the readers' own checks.
    """

    name: str
    urls: Sequence[str]
    md5: str
    max_bytes: int


def fetch(file: RemoteFile, folder: Path, download: bool, owner: str) -> Path:
    """The path of ``file`` in ``folder``, after downloading it if it is not there.

    Raises
    ------
    RuntimeError
        If it is not there and ``download`` is off or fails; the message says what to put where.
    """
    target = folder / file.name
    if target.is_file():
        return target
    advice = f"put {file.name} (from {file.urls[0]}) into {folder}"
    if not download:
        raise RuntimeError(f"{owner}: {target} is not there; say download=True, or {advice}")
    problems = []
    for url in file.urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _download(url, file, target)
            return target
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            problems.append(f"{url}: {reason}")
    raise RuntimeError(
        f"{owner}: could not download {'; '.join(problems)}. Without network: {advice}"
    )


def _download(url: str, file: RemoteFile, target: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT) as response,
        replacing(target) as out,
    ):
        done = 0
        for chunk in chunks(response, file.name):
            done += len(chunk)
            if done > file.max_bytes:
                raise ValueError(f"more than the {file.max_bytes} bytes expected")
            out.write(chunk)
            digest.update(chunk)
        if digest.hexdigest() != file.md5:
            raise ValueError(f"checksum {digest.hexdigest()} instead of {file.md5}")


def chunks(response: Any, name: str, progress: bool = True) -> Iterator[bytes]:
    """What an HTTP response brings, piece by piece, with a bar of progress called `name`."""
    declared = int(response.headers.get("Content-Length") or 0)
    with _bar(name, declared) if progress else _NoBar() as bar:
        while chunk := response.read(_CHUNK):
            yield chunk
            bar.update(len(chunk))


class _NoBar:
    """Stands in for tqdm where it is not installed."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, count: int) -> None:
        pass


def _bar(name: str, total: int) -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return _NoBar()
    return tqdm(
        total=total or None, desc=name, unit="B", unit_scale=True, leave=False, disable=None
    )
