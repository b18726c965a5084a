"""Validate arrays, encode family labels, and sum by family."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Values = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]
Labels = Sequence[Hashable] | npt.NDArray[np.generic] | None


def as_floats(x: Values, name: str = "x") -> FloatArray:
    """Return x as a one-dimensional float array. ValueError for other shapes, NaN and infinite entries."""
    array = np.asarray(x, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite entries; leave failed items out and count them")
    return array


def as_preferences(p: Values, name: str = "p") -> FloatArray:
    """Return p as a float array of preferences. ValueError if an entry lies outside [0, 1]."""
    array = as_floats(p, name)
    if array.size and (array.min() < 0 or array.max() > 1):
        raise ValueError(f"{name} must lie in [0, 1], got {array.min():g} to {array.max():g}")
    return array


def encode(labels: Iterable[object]) -> IntArray:
    """Return integer codes of hashable labels in order of first appearance; each None or NaN gets its own
    code.

    A prompt without a family is a family of one, so missing labels must not be merged.
    """
    codes: dict[object, int] = {}
    out: list[int] = []
    for position, label in enumerate(labels):
        missing = label is None or label != label  # NaN is the one value unequal to itself
        out.append(codes.setdefault(("missing", position) if missing else ("label", label), len(codes)))
    return np.asarray(out, dtype=np.int64)


def cluster_codes(clusters: Labels, n: int) -> tuple[IntArray, int]:
    """Return codes 0..G-1 of n rows, and G. None: families of one. ValueError for a wrong length."""
    if clusters is None:
        return np.arange(n, dtype=np.int64), n
    labels = clusters.tolist() if isinstance(clusters, np.ndarray) else list(clusters)
    if len(labels) != n:
        raise ValueError(f"clusters has {len(labels)} labels for {n} rows")
    codes = encode(labels)
    return codes, int(codes.max()) + 1 if n else 0


def cluster_sums(x: FloatArray, codes: IntArray, groups: int) -> FloatArray:
    """Sum of x within each family, shape (G,)."""
    return np.bincount(codes, weights=x, minlength=groups).astype(np.float64)
