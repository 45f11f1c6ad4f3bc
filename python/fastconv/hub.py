"""``torch.hub``'s way to published weights: fetched once, kept in a cache, read without pickle."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse as urlparse

__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

_dir: Path | None = None
HASH_REGEX = re.compile(r"-([a-f0-9]{8,})\.")  # resnet18-f37072fd.pth starts with that SHA-256
_TIMEOUT = 30  # seconds without a byte


def get_dir() -> str:
    """The cache: ``FASTCONV_HOME``, or ``fastconv`` in the user's cache folder."""
    if _dir is not None:
        return str(_dir)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return os.environ.get("FASTCONV_HOME") or str(Path(cache) / "fastconv")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Use another folder as cache."""
    global _dir
    _dir = Path(d).expanduser()


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """The state dictionary published at `url`, for ``Module.load_state_dict``.

    Parameters
    ----------
    url : str
        Of a ``.pth``, ``.safetensors`` or ``.npz`` file.
    model_dir : path, optional
        Where to keep it; ``checkpoints`` in the cache if left out. A file that is there already is
        not fetched.
    progress : bool
        Show a bar.
    check_hash : bool
        The name ends in the first digits of the SHA-256, which must be right.
    file_name : str, optional
        Another name to keep it under.

    Raises
    ------
    RuntimeError
        If it cannot be fetched (the message says what to put where), or the digits are wrong.
    ValueError
        If the file is damaged or no file of weights.
    """
    from .serialization import load

    name = file_name or Path(urlparse(url).path).name
    folder = Path(get_dir()) / "checkpoints" if model_dir is None else Path(model_dir)
    target = folder / name
    if not target.is_file():
        digits = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, target, digits.group(1) if digits else None, progress)
    return load(target)


def download_url_to_file(
    url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file, whole or not at all.

    Parameters
    ----------
    url : str
    dst : path
    hash_prefix : str, optional
        What its SHA-256 must start with.
    progress : bool
        Show a bar.

    Raises
    ------
    RuntimeError
        If it cannot be fetched, or is another file.
    """
    import urllib.request
    from http.client import HTTPException

    from .data.download import chunks
    from .serialization.files import replacing

    target, start = Path(dst), hash_prefix or ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, replacing(target) as out:
            for chunk in chunks(response, target.name, progress):
                out.write(chunk)
                digest.update(chunk)
            if not digest.hexdigest().startswith(start):
                raise ValueError(f"SHA-256 {digest.hexdigest()}, which does not start with {start}")
    except (OSError, HTTPException, ValueError) as error:
        raise RuntimeError(
            f"download_url_to_file: could not download {url}: {error}. "
            f"Without network: put the file at {target}"
        ) from None


#: Names that other sources have for it.
load_url: Callable[..., Any] = load_state_dict_from_url
