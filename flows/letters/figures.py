"""shap's plots of former customers as SVG: the same drawing for the same contributions.

matplotlib and shap are asked for by whoever imports this, which only the report does.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
import shap
from matplotlib import pyplot
from matplotlib.figure import Figure
from numpy.typing import NDArray

_STYLE = {
    "svg.hashsalt": "creditlens",
    # Letters stay letters, which the document's own fonts show.
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
}
_SEED = 0


def beeswarm(
    contributions: NDArray[np.float64], values: NDArray[np.float64], labels: Sequence[str], axis: str, *, shown: int
) -> str:
    """Every customer as a point by feature, the features that count most first.

    Parameters
    ----------
    contributions, values: shape (n, features); NaN values are drawn grey.
    axis: what the horizontal axis says.
    """
    with matplotlib.rc_context(_STYLE):
        pyplot.switch_backend("agg")
        pyplot.figure()
        _seed()
        shap.plots.beeswarm(
            shap.Explanation(values=contributions, data=values, feature_names=list(labels)),
            max_display=shown, show=False, plot_size=(7.2, 0.23 * shown + 0.7), group_remaining_features=False,
            color_bar=False,
        )  # fmt: skip
        figure = pyplot.gcf()
        figure.axes[0].set_xlabel(axis)
        return _svg(figure)


def dependence(contributions: NDArray[np.float64], values: NDArray[np.float64], label: str, axis: str) -> str:
    """The contribution of one feature by its value; shape (n,) each, without NaN."""
    with matplotlib.rc_context(_STYLE):
        pyplot.switch_backend("agg")
        figure, ax = pyplot.subplots(figsize=(3.6, 2.1))
        _seed()
        shap.plots.scatter(
            shap.Explanation(values=contributions, data=values, feature_names=label),
            ax=ax, show=False, dot_size=6, alpha=0.5, hist=False, color="#0072B2",
        )  # fmt: skip
        ax.set_xlabel(label)
        ax.set_ylabel(axis)
        # shap's own sizes are for a screen.
        for text in (ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()):
            text.set_fontsize(8.0)
        return _svg(figure)


def _seed() -> None:
    """Shap shuffles points by numpy's global state, and knows no other."""
    np.random.seed(_SEED)


def _svg(figure: Figure) -> str:
    """The figure, its points as one picture, as thousands of shapes would be slow to show."""
    for ax in figure.axes:
        for points in ax.collections:
            points.set_rasterized(True)
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", dpi=200, metadata={"Date": None})
    pyplot.close(figure)
    return out.getvalue()
