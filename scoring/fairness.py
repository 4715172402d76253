"""How a model would treat groups of people: approval rates side by side, and the rate of default beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring import scorecard
from scoring.contract import Applications
from scoring.preprocess import explained_features, feature_values

SMALLEST_GROUP = 30
# Ages by ten years: the first group also holds those under 20, the last one those over 70.
_AGE_STEP, _YOUNGEST, _OLDEST = 10, 10, 70


def groups(former: Applications, log_odds: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Former customers by gender and by age, judged by out-of-fold log-odds, shape (n,).

    Of each group: kind ("gender" or "age"), code (of the gender, None if missing; the youngest age), upper (the
    oldest age, None without end), customers, approval_rate (decision "accept"), default_rate, mean_score, and
    ratio_to_best: its approval rate by the highest one of its kind, the adverse impact ratio, of which 0.8 is the
    usual line (the four-fifths rule, US Uniform Guidelines on Employee Selection Procedures 1978, 29 CFR 1607.4 D).
    Groups of fewer than 30 have no rates, and nobody is compared with them.
    """
    assert former.target is not None
    names = [feature.name for feature in explained_features()]
    values, _ = feature_values(former.values)
    gender = values[:, names.index("CODE_GENDER")]
    # The files count days before the application.
    years = values[:, names.index("DAYS_BIRTH")] / -365.25
    age = np.clip(np.floor(years / _AGE_STEP) * _AGE_STEP, _YOUNGEST, _OLDEST)
    age[age == _YOUNGEST + _AGE_STEP] = _YOUNGEST
    scores = scorecard.score(log_odds)
    accepted = np.array([band.decision == "accept" for band in scorecard.bands()])[scorecard.band_index(scores)]
    exact = scorecard.exact_score(log_odds)
    found: list[dict[str, Any]] = []
    for kind, key in (("gender", gender), ("age", age)):
        own: list[dict[str, Any]] = []
        for code in np.unique(key):
            rows = np.isnan(key) if np.isnan(code) else key == code
            customers = int(rows.sum())
            known = customers >= SMALLEST_GROUP
            own.append(
                {
                    "kind": kind,
                    "code": None if np.isnan(code) else int(code),
                    "upper": _upper(code) if kind == "age" else None,
                    "customers": customers,
                    "approval_rate": float(accepted[rows].mean()) if known else None,
                    "default_rate": float(former.target[rows].mean()) if known else None,
                    "mean_score": float(exact[rows].mean()) if known else None,
                }
            )
        best = max((group["approval_rate"] or 0.0 for group in own), default=0.0)
        for group in own:
            rate = group["approval_rate"]
            group["ratio_to_best"] = rate / best if rate is not None and best else None
        found += own
    return found


def _upper(age: float) -> int | None:
    if np.isnan(age) or age >= _OLDEST:
        return None
    return int(age) + _AGE_STEP - 1 + (_AGE_STEP if age == _YOUNGEST else 0)
