"""Reads the text form of a LightGBM model into flat arrays.

The text is what ``Booster.model_to_string()`` and ``Booster.save_model()`` write (versions v3 and v4).
Nothing in it is trusted: whatever a reader of the arrays relies on (lengths, index ranges, that the nodes of
a tree form one tree, that the counts add up) is checked here, once, and anything else is refused with a
`ModelFormatError` that names it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

CATEGORICAL = 1
DEFAULT_LEFT = 2

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Integers = NDArray[np.int64]

_KNOWN_VERSIONS = ("v3", "v4")
_MAX_COUNT = 2**31 - 1


class ModelFormatError(ValueError):
    """The text is no LightGBM model, or one with a property that is not supported. The message names it."""


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """The trees of a LightGBM model as flat, read-only arrays.

    Tree ``t`` has the split nodes ``node_start[t]:node_start[t + 1]`` and the leaves
    ``leaf_start[t]:leaf_start[t + 1]``; there is always one leaf more than there are nodes, and node 0 of a
    tree is its root. Children are numbered within their tree, a node by its number and leaf ``i`` as ``~i``;
    the children of a node have larger numbers than the node itself.

    A value ``x`` of column ``feature`` goes left in a numerical node if ``x <= threshold``, or, where it
    counts as missing, by ``default_left``. It goes left in a categorical node if bit ``int(x)`` is set in the
    node's ``category_words`` words of 32 bits, from ``category_bits[category_start]`` on.

    Attributes
    ----------
    objective: what LightGBM says about the model's objective, as ``binary sigmoid:1``; "" if it says nothing.
    n_features: number of columns that the model takes.
    n_trees: number of trees, one per boosting round.
    node_start, leaf_start: int64 (n_trees + 1,), where each tree begins.
    feature: int32 (nodes,), column that is split on.
    threshold: float64 (nodes,), upper bound of the left side; infinite where a split only tells missing
        values from all others; 0 in categorical nodes.
    decision_type: uint8 (nodes,), LightGBM's bits: 1 categorical, 2 default left, 4-8 missing type.
    left_child, right_child: int32 (nodes,).
    node_count, leaf_count: int64, training rows that reached the node or leaf; at least 1, and those of
        two siblings add up to their parent's.
    leaf_value: float64 (leaves,), log-odds that the leaf adds to the score.
    category_start, category_words: int32 (nodes,), 0 in numerical nodes.
    category_bits: uint32 (words,).
    """

    objective: str
    n_features: int
    n_trees: int
    node_start: NDArray[np.int64]
    leaf_start: NDArray[np.int64]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    decision_type: NDArray[np.uint8]
    left_child: NDArray[np.int32]
    right_child: NDArray[np.int32]
    node_count: NDArray[np.int64]
    leaf_count: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    category_start: NDArray[np.int32]
    category_words: NDArray[np.int32]
    category_bits: NDArray[np.uint32]

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """Whether a node asks for membership in a set of categories, shape (nodes,)."""
        return (self.decision_type & CATEGORICAL).astype(np.bool_)

    @property
    def default_left(self) -> NDArray[np.bool_]:
        """Whether missing values go left, shape (nodes,); of no effect where the missing type is `MISSING_NONE`."""
        return (self.decision_type & DEFAULT_LEFT).astype(np.bool_)

    @property
    def missing_type(self) -> NDArray[np.uint8]:
        """uint8 (nodes,): `MISSING_NONE` (NaN is read as 0), `MISSING_ZERO` (NaN and 0) or `MISSING_NAN`."""
        return np.right_shift(self.decision_type, np.uint8(2))


@dataclass(frozen=True)
class _Tree:
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    decision_type: NDArray[np.int64]
    left_child: NDArray[np.int64]
    right_child: NDArray[np.int64]
    node_count: NDArray[np.int64]
    leaf_count: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    category_start: NDArray[np.int64]
    category_words: NDArray[np.int64]
    category_bits: NDArray[np.int64]


def parse_model(text: str) -> TreeEnsemble:
    """Parses the text of a LightGBM model with one output.

    Parameters
    ----------
    text: what ``Booster.model_to_string()`` returns. All its trees are taken: ask LightGBM for the text
        up to the best iteration only, if early stopping is to count.

    Returns
    -------
    The trees. The column order is that of the model's training data; native categories are the codes
    that LightGBM was trained on, not the labels of a pandas column.

    Raises
    ------
    ModelFormatError: the text is malformed or truncated, or the model has several classes, linear
        leaves or averaged trees (random forest). The message names the tree and field.

    Time and memory are linear in the length of the text.
    """
    # Not splitlines(): a feature's name may hold one of the many characters that it takes for line ends.
    lines = (line.rstrip("\r") for line in text.split("\n"))
    header = _header(lines)
    n_features = int(_integers(header, "max_feature_idx", 1, "the header", 0, _MAX_COUNT - 1)[0]) + 1
    n_names = len(_field(header, "feature_names", "the header").split())
    if n_names != n_features:
        raise ModelFormatError(f"the header names {n_names} features, but max_feature_idx says {n_features}")
    n_trees = len(_field(header, "tree_sizes", "the header").split())
    trees = [_tree(block, t, n_features) for t, block in enumerate(_tree_blocks(lines))]
    if len(trees) != n_trees:
        raise ModelFormatError(f"the header announces {n_trees} trees, but {len(trees)} follow")
    return _flatten(header.get("objective", ""), trees, n_features)


def _header(lines: Iterator[str]) -> dict[str, str]:
    if next(lines, None) != "tree":
        raise ModelFormatError("the text does not begin as a LightGBM model does (first line 'tree')")
    header: dict[str, str] = {}
    for line in lines:
        if not line:
            break
        key, _, value = line.partition("=")
        if key in header:
            raise ModelFormatError(f"the header has the field {key!r} twice")
        header[key] = value
    version = _field(header, "version", "the header")
    if version not in _KNOWN_VERSIONS:
        raise ModelFormatError(f"the model has version {version!r}, known are {', '.join(_KNOWN_VERSIONS)}")
    if "average_output" in header:
        raise ModelFormatError("not supported: a random forest, whose trees are averaged (average_output)")
    for key in ("num_class", "num_tree_per_iteration"):
        if _integers(header, key, 1, "the header", 0, _MAX_COUNT)[0] != 1:
            raise ModelFormatError(f"not supported: several outputs per row ({key}={header[key]})")
    return header


def _tree_blocks(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    block: dict[str, str] | None = None
    n_blocks = 0
    for line in lines:
        if line == "end of trees":
            if block is not None:
                yield block
            return
        key, equals, value = line.partition("=")
        if key == "Tree":
            if value != str(n_blocks):
                raise ModelFormatError(f"tree {n_blocks} is expected, but 'Tree={value[:20]}' follows")
            if block is not None:
                yield block
            block = {}
            n_blocks += 1
        elif line:
            if block is None or not equals:
                raise ModelFormatError(f"a tree is expected, but {line[:60]!r} follows")
            if key in block:
                raise ModelFormatError(f"tree {n_blocks - 1} has the field {key!r} twice")
            block[key] = value
    raise ModelFormatError("the text is cut off: 'end of trees' is missing")


def _tree(block: dict[str, str], number: int, n_features: int) -> _Tree:
    where = f"tree {number}"

    def refuse(what: str) -> NoReturn:
        raise ModelFormatError(f"{where}: {what}")

    def integers(key: str, length: int, low: int, high: int) -> _Integers:
        return _integers(block, key, length, where, low, high)

    if block.get("is_linear", "0") != "0":
        refuse("not supported: linear models in the leaves (is_linear)")
    n_leaves = int(integers("num_leaves", 1, 1, _MAX_COUNT)[0])
    n_categorical = int(integers("num_cat", 1, 0, _MAX_COUNT)[0])
    n_nodes = n_leaves - 1
    leaf_value = _floats(block, "leaf_value", n_leaves, where)
    if not np.all(np.isfinite(leaf_value)):
        refuse("leaf_value holds an infinite value")
    if n_nodes == 0:
        none = np.zeros(0, np.int64)
        # LightGBM leaves the count of a constant tree unset, and nothing depends on it.
        one = np.ones(1, np.int64)
        return _Tree(none, np.zeros(0), none, none, none, none, one, leaf_value, none, none, none)

    left = integers("left_child", n_nodes, -n_leaves, n_nodes - 1)
    right = integers("right_child", n_nodes, -n_leaves, n_nodes - 1)
    children = np.concatenate((left, right))
    inner = children[children >= 0]
    leaves = ~children[children < 0]
    # Each node but the root and each leaf hangs below one node with a smaller number: so all hang below the
    # root, and there are no cycles.
    if not np.array_equal(np.sort(inner), np.arange(1, n_nodes)):
        refuse("left_child and right_child do not name every node but the root once")
    if not np.array_equal(np.sort(leaves), np.arange(n_leaves)):
        refuse("left_child and right_child do not name every leaf once")
    parents = np.tile(np.arange(n_nodes), 2)
    if np.any((children >= 0) & (children <= parents)):
        refuse("a node does not come after its parent")

    node_count = integers("internal_count", n_nodes, 1, _MAX_COUNT)
    leaf_count = integers("leaf_count", n_leaves, 1, _MAX_COUNT)
    below = np.concatenate((leaf_count[::-1], node_count))
    # `below` holds leaf i at position n_leaves - 1 - i, so that child c stands at c + n_leaves.
    if np.any(below[left + n_leaves] + below[right + n_leaves] != node_count):
        refuse("the counts of two children (leaf_count, internal_count) do not add up to their parent's")

    decision_type = integers("decision_type", n_nodes, 0, 11)
    threshold = _floats(block, "threshold", n_nodes, where)
    start = np.zeros(n_nodes, np.int64)
    words = np.zeros(n_nodes, np.int64)
    bits = np.zeros(0, np.int64)
    categorical = (decision_type & CATEGORICAL) != 0
    if n_categorical:
        n_words = len(_field(block, "cat_threshold", where).split())
        boundaries = integers("cat_boundaries", n_categorical + 1, 0, n_words)
        bits = integers("cat_threshold", n_words, 0, 2**32 - 1)
        if boundaries[0] != 0 or boundaries[-1] != n_words or np.any(np.diff(boundaries) < 0):
            refuse("cat_boundaries does not divide cat_threshold")
        chosen = threshold[categorical]
        if np.any((chosen < 0) | (chosen >= n_categorical) | (chosen != np.floor(chosen))):
            refuse("threshold of a categorical node names no set of categories")
        index = chosen.astype(np.int64)
        start[categorical] = boundaries[index]
        words[categorical] = boundaries[index + 1] - boundaries[index]
        threshold[categorical] = 0.0
    elif np.any(categorical):
        refuse("decision_type says categorical, but num_cat=0")
    return _Tree(
        feature=integers("split_feature", n_nodes, 0, n_features - 1),
        threshold=threshold,
        decision_type=decision_type,
        left_child=left,
        right_child=right,
        node_count=node_count,
        leaf_count=leaf_count,
        leaf_value=leaf_value,
        category_start=start,
        category_words=words,
        category_bits=bits,
    )


def _flatten(objective: str, trees: Sequence[_Tree], n_features: int) -> TreeEnsemble:
    def starts(sizes: list[int]) -> NDArray[np.int64]:
        return _frozen(np.concatenate(([0], np.cumsum(np.array(sizes, np.int64)))), np.int64)

    def joined(part: Callable[[_Tree], NDArray[Any]], dtype: type[_Scalar]) -> NDArray[_Scalar]:
        return _frozen(np.concatenate([np.zeros(0, dtype), *map(part, trees)]), dtype)

    word_start = starts([tree.category_bits.size for tree in trees])
    if word_start[-1] > _MAX_COUNT:
        raise ModelFormatError("the categorical splits have too many categories")
    for tree, first in zip(trees, word_start[:-1], strict=True):
        tree.category_start[tree.category_words > 0] += first
    return TreeEnsemble(
        objective=objective,
        n_features=n_features,
        n_trees=len(trees),
        node_start=starts([tree.feature.size for tree in trees]),
        leaf_start=starts([tree.leaf_value.size for tree in trees]),
        feature=joined(lambda tree: tree.feature, np.int32),
        threshold=joined(lambda tree: tree.threshold, np.float64),
        decision_type=joined(lambda tree: tree.decision_type, np.uint8),
        left_child=joined(lambda tree: tree.left_child, np.int32),
        right_child=joined(lambda tree: tree.right_child, np.int32),
        node_count=joined(lambda tree: tree.node_count, np.int64),
        leaf_count=joined(lambda tree: tree.leaf_count, np.int64),
        leaf_value=joined(lambda tree: tree.leaf_value, np.float64),
        category_start=joined(lambda tree: tree.category_start, np.int32),
        category_words=joined(lambda tree: tree.category_words, np.int32),
        category_bits=joined(lambda tree: tree.category_bits, np.uint32),
    )


def _field(fields: dict[str, str], key: str, where: str) -> str:
    if key not in fields:
        raise ModelFormatError(f"{where} has no field {key!r}")
    return fields[key]


def _integers(fields: dict[str, str], key: str, length: int, where: str, low: int, high: int) -> _Integers:
    try:
        values = [int(token) for token in _field(fields, key, where).split()]
    except ValueError as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{where}: {key} holds something other than integers") from None
    if len(values) != length:
        raise ModelFormatError(f"{where}: {key} holds {len(values)} values instead of {length}")
    if values and (min(values) < low or max(values) > high):
        raise ModelFormatError(f"{where}: {key} holds a value outside of {low} to {high}")
    return np.array(values, np.int64)


def _floats(fields: dict[str, str], key: str, length: int, where: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(token) for token in _field(fields, key, where).split()], np.float64)
    except ValueError as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{where}: {key} holds something other than numbers") from None
    if values.size != length:
        raise ModelFormatError(f"{where}: {key} holds {values.size} values instead of {length}")
    if np.any(np.isnan(values)):
        raise ModelFormatError(f"{where}: {key} holds a value that is not a number")
    return values


def _frozen(values: NDArray[Any], dtype: type[_Scalar]) -> NDArray[_Scalar]:
    array = np.ascontiguousarray(values, dtype)
    array.flags.writeable = False
    return array
