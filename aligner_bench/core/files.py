"""Write files and folders atomically; hash files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


class atomic_path:  # noqa: N801 - a context manager, used as a function
    """Give the block a temporary file that replaces ``path`` if the block raises nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        os.close(handle)
        self._draft = Path(name)
        return self._draft

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._draft.chmod(0o644)
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give the block a temporary folder that becomes ``target`` if the block raises nothing.

    An existing ``target`` is kept. OSError if ``target`` does not exist at the end.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=".draft-"))
    try:
        yield draft
        with contextlib.suppress(FileExistsError, OSError):
            draft.rename(target)  # fails if another process created the target first
        if not target.exists():
            raise OSError(f"could not create {target}")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
