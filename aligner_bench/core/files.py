"""Write files and folders whole or not at all; hash files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


class atomic_path:  # noqa: N801 - a context manager, used as a function
    """A draft file that takes the place of ``path`` only if the block ends well."""

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
    """A text file, whole or not at all."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` only if the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=".draft-"))
    try:
        yield draft
        with contextlib.suppress(FileExistsError, OSError):
            draft.rename(target)  # fails only where another process was quicker
        if not target.exists():
            raise OSError(f"could not create {target}")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
