"""Lists of whole numbers as binary COPY takes them for a column of `integer[]`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LIST_OID = 1007
_INT4_OID = 23


def integer_lists(values: NDArray[np.int32]) -> NDArray[np.void]:
    """Lists of k numbers each, shape (n, k) with k > 0, as records of one width, shape (n,)."""
    rows, k = values.shape
    wire = np.empty((rows, 5 + 2 * k), dtype=">i4")
    # One dimension, nothing is NULL, of which type, how many, counted from 1.
    wire[:, :5] = (1, 0, _INT4_OID, k, 1)
    wire[:, 5::2] = 4
    wire[:, 6::2] = values
    return wire.view(f"V{wire.shape[1] * 4}")[:, 0]
