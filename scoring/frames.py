"""Applications as pandas frames and explanations as shap objects: for notebooks, and for shap's own plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scoring.batch import score_batch
from scoring.contract import Applications, check_rows, match_columns
from scoring.errors import RejectedRowsError
from scoring.features import Feature, Language
from scoring.preprocess import explained_features

if TYPE_CHECKING:
    # Both take seconds to import, and only people in front of a notebook need them.
    import pandas as pd
    import shap

    from scoring.bundle import ModelBundle

Rejected = Literal["raise", "drop"]


def applications(
    frame: pd.DataFrame, *, labelled: bool = False, rejected: Literal["raise", "drop"] = "raise"
) -> Applications:
    """Check the rows of a frame as the night checks those of a file.

    Parameters
    ----------
    frame: the columns of an application file; others are ignored. NaN and None are missing.
    labelled: whether TARGET belongs to the contract.
    rejected: what to do with rows that break the contract.

    Raises ColumnsError for a missing column, RejectedRowsError if `rejected` is "raise" and a row breaks a rule.
    """
    columns = match_columns([str(column) for column in frame.columns], labelled=labelled)
    known = frame.iloc[:, list(columns.positions.values())].set_axis(list(columns.positions), axis=1)
    checked = check_rows(pl.from_pandas(known, nan_to_null=True), first_row=1, labelled=labelled)
    if checked.rejected and rejected == "raise":
        first = checked.violations[0]
        raise RejectedRowsError(
            f"{checked.rejected:,} of {len(frame):,} rows break the contract. First: row {first.row_number},"
            f" {first.column_name}, rule {first.rule!r}, value {first.value!r}. rejected='drop' leaves them out."
        )
    return checked.accepted


def explain(
    bundle: ModelBundle,
    frame: pd.DataFrame,
    *,
    language: Language = "en",
    rejected: Rejected = "raise",
    threads: int = 1,
) -> shap.Explanation:
    """Explain the applications of a frame, n rows with k explained features, in the frame's order.

    Returns
    -------
    shap.Explanation with `values` (n, k), exact contributions to the log-odds of default; `base_values` (n,);
    `data` (n, k), numbers in people's units, codes for categories, NaN for missing; `display_data` (n, k), the same
    as people read it; `feature_names` (k,), labels. Base value and a row's values add up to its log-odds.

    Raises what `applications` raises, and ValueError for a language that is neither "en" nor "fr".
    """
    import shap

    scored = score_batch(bundle, applications(frame, rejected=rejected), threads=threads)
    features = explained_features()
    return shap.Explanation(
        values=scored.contributions,
        base_values=np.full(len(scored.log_odds), bundle.base_value),
        data=_shown_numbers(features, scored.values),
        display_data=_texts(features, scored.values, language),
        feature_names=[feature.label_fr if language == "fr" else feature.label_en for feature in features],
    )


def _shown_numbers(features: tuple[Feature, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    scales = np.array([1.0 if feature.categories else feature.display_scale for feature in features])
    shown: NDArray[np.float64] = values * scales
    return shown


def _texts(features: tuple[Feature, ...], values: NDArray[np.float64], language: Language) -> NDArray[Any]:
    texts = np.empty(values.shape, dtype=object)
    for position, feature in enumerate(features):
        # Few values of a column are distinct, and a text costs more than looking it up.
        distinct, place = np.unique(values[:, position], return_inverse=True)
        words = np.array([feature.display_text(float(value), language) for value in distinct], dtype=object)
        texts[:, position] = words[place]
    return texts
