"""The synthetic squad of Ngweta et al. 2024, sections 3.1 and 3.2, for any number of styles.

An answer is a vector ``f(x) = tanh(Wx)``; style k is a constant shift. Aligner k is a sparse linear
regression that learns to add the shift, inspector k a gradient-boosted classifier that distinguishes shifted
from unshifted answers. While a score is below the threshold, the aligner with the *lowest* score acts
(repeatedly if needed), up to a limit. Parameters that the paper does not give (W, the shifts, the learners'
settings) are chosen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aligner_bench.core.errors import MissingExtraError, UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

INPUTS = 100  # as in the paper: x ~ N(0, I100), answers in R^50, 500 samples
OUTPUTS = 50
SAMPLES = 500
SUPPORT = 10  # chosen here: coordinates shifted by a style; entries of W are N(0, 1 / INPUTS)


@dataclass(frozen=True, slots=True)
class Setting:
    """One synthetic experiment. ``size`` is the shift of each of a style's coordinates."""

    styles: int = 2
    threshold: float = 0.9
    limit: int = 5
    points: int = 100
    size: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Trajectories of new points.

    ``scores`` has shape (limit + 1, points, styles), starting before the first step; NaN after a point's last
    step. ``steps``, shape (points,), counts the aligners that acted; ``reached``, shape (points,), tells
    whether all scores passed.
    """

    regime: str
    setting: Setting
    scores: Matrix
    steps: NDArray[np.int64]
    reached: NDArray[np.bool_]

    def summary(self) -> dict[str, Any]:
        """Return the share of points that passed, and the share of points by number of steps (at the limit:
        all).
        """
        counts = {str(k): float((self.steps == k).mean()) for k in range(self.setting.limit + 1)}
        if not counts["0"]:
            del counts["0"]
        return {"reached": float(self.reached.mean()), "steps": counts}


def _independent(setting: Setting, outputs: int) -> Matrix:
    """Return shifts of disjoint coordinates, one set per style."""
    import numpy as np

    shifts = np.zeros((setting.styles, outputs))
    for k in range(setting.styles):
        shifts[k, k * SUPPORT : (k + 1) * SUPPORT] = setting.size
    return shifts


def _in_sync(setting: Setting, outputs: int) -> Matrix:
    """Return equal shifts of the same coordinates for all styles."""
    import numpy as np

    shifts = np.zeros((setting.styles, outputs))
    shifts[:, :SUPPORT] = setting.size
    return shifts


def _conflict(setting: Setting, outputs: int) -> Matrix:
    """Return shifts of the same coordinates, with opposite signs for alternate styles."""
    shifts = _in_sync(setting, outputs)
    shifts[1::2] *= -1
    return shifts


REGIMES: Mapping[str, Callable[[Setting, int], Matrix]] = {
    "independent": _independent,
    "in_sync": _in_sync,
    "conflict": _conflict,
}


def simulate(regime: str, setting: Setting | None = None) -> Outcome:
    """Simulate one regime: train aligners and inspectors, then correct new points. About 1 s for two styles.

    Raises UsageError for an unknown regime or a setting out of range.
    """
    setting = setting or Setting()
    _check(regime, setting)
    with _one_thread():
        return _simulated(regime, setting)


def _one_thread() -> AbstractContextManager[Any]:
    """Limit boosting to one thread: on a busy machine its synchronised threads are about 50 times slower."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "simulate", "simulate squad") from error
    return cast(AbstractContextManager[Any], threadpool_limits(1))


def _simulated(regime: str, setting: Setting) -> Outcome:
    import numpy as np

    rng = np.random.default_rng(setting.seed)
    outputs = max(OUTPUTS, SUPPORT * setting.styles)
    weights = rng.normal(0, INPUTS**-0.5, (outputs, INPUTS))
    shifts = REGIMES[regime](setting, outputs)
    x = rng.normal(size=(SAMPLES, INPUTS))
    squad = _Squad(x, np.tanh(x @ weights.T), shifts, setting.seed)
    fresh = rng.normal(size=(setting.points, INPUTS))
    return _correct(regime, setting, squad, fresh, np.tanh(fresh @ weights.T))


def _check(regime: str, setting: Setting) -> None:
    if regime not in REGIMES:
        raise UsageError(f"unknown regime {regime!r}: {nearest(regime, REGIMES)}")
    if not 2 <= setting.styles <= 50:
        raise UsageError(f"--styles {setting.styles}: expected 2 to 50")
    if not 0 < setting.threshold < 1:
        raise UsageError(f"--threshold {setting.threshold:g}: expected a score between 0 and 1")
    if setting.limit < 1 or setting.points < 1:
        raise UsageError("--limit and --points must be at least 1")


class _Squad:
    """Trained aligners and inspectors over (x, answer) vectors."""

    def __init__(self, x: Matrix, answers: Matrix, shifts: Matrix, seed: int) -> None:
        import numpy as np
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import MultiTaskLasso

        plain = np.hstack([x, answers])
        labels = np.repeat([0, 1], len(x))
        self._aligners, self._inspectors = [], []
        for shift in shifts:
            target = np.broadcast_to(shift, answers.shape)
            self._aligners.append(MultiTaskLasso(alpha=0.01).fit(plain, target))
            both = np.vstack([plain, np.hstack([x, answers + shift])])
            booster = HistGradientBoostingClassifier(max_depth=3, max_iter=100, random_state=seed)
            self._inspectors.append(booster.fit(both, labels))

    def scores(self, x: Matrix, answers: Matrix) -> Matrix:
        """Return each inspector's probability of its style, shape (rows, styles)."""
        import numpy as np

        rows = np.hstack([x, answers])
        return np.column_stack([inspector.predict_proba(rows)[:, 1] for inspector in self._inspectors])

    def act(self, x: Matrix, answers: Matrix, who: NDArray[np.int64]) -> Matrix:
        """Return the answers after aligner ``who[i]`` acted on row i."""
        import numpy as np

        rows, corrected = np.hstack([x, answers]), answers.copy()
        for k in np.unique(who):
            corrected[who == k] += self._aligners[k].predict(rows[who == k])
        return corrected


def _correct(regime: str, setting: Setting, squad: _Squad, x: Matrix, answers: Matrix) -> Outcome:
    import numpy as np

    scores = np.full((setting.limit + 1, len(x), setting.styles), np.nan)
    scores[0] = squad.scores(x, answers)
    steps = np.zeros(len(x), dtype=np.int64)
    for step in range(1, setting.limit + 1):
        before = scores[step - 1]
        live = np.flatnonzero((before < setting.threshold).any(axis=1))
        if not len(live):
            break
        answers[live] = squad.act(x[live], answers[live], before[live].argmin(axis=1))
        scores[step, live] = squad.scores(x[live], answers[live])
        steps[live] = step
    reached = np.all(scores[steps, np.arange(len(x))] >= setting.threshold, axis=1)
    return Outcome(regime, setting, scores, steps, np.asarray(reached))
