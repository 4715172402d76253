"""Tests of the reader of LightGBM's text models, with LightGBM itself as the writer."""

import re

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.explanation.kernels import MISSING_NAN
from scoring.explanation.lightgbm_text import ModelFormatError, TreeEnsemble, parse_model

N_ROUNDS = 6


def _train(**params: object) -> lgb.Booster:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 4))
    x[:, 3] = rng.integers(0, 40, 400)
    x[rng.random(400) < 0.3, 1] = np.nan
    y = (x[:, 0] + np.nan_to_num(x[:, 1]) + np.sin(x[:, 3]) > 0).astype(int)
    small = {"num_leaves": 8, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1.0}
    defaults = {"objective": "binary", "verbose": -1, "num_threads": 1}
    return lgb.train({**defaults, **small, **params}, lgb.Dataset(x, y, categorical_feature=[3]), N_ROUNDS)


BOOSTER = _train()
TEXT = BOOSTER.model_to_string()


def _replaced(pattern: str, replacement: str) -> str:
    text, n = re.subn(pattern, replacement, TEXT, count=1, flags=re.MULTILINE)
    assert n == 1
    return text


def test_arrays_hold_what_lightgbm_reports() -> None:
    trees = parse_model(TEXT)
    assert (trees.n_features, trees.n_trees) == (4, N_ROUNDS)
    table = BOOSTER.trees_to_dataframe()
    nodes, leaves = table[table["split_gain"].notna()], table[table["split_gain"].isna()]
    assert trees.feature.size == len(nodes) and trees.leaf_value.size == len(leaves)
    # The data frame is in depth-first order, so compare as sets per tree.
    for t in range(N_ROUNDS):
        own = slice(trees.node_start[t], trees.node_start[t + 1])
        numerical = nodes[(nodes["tree_index"] == t) & (nodes["decision_type"] == "<=")]
        assert sorted(trees.threshold[own][~trees.is_categorical[own]]) == pytest.approx(
            sorted(numerical["threshold"].astype(float)), rel=1e-12
        )
        leaf = slice(trees.leaf_start[t], trees.leaf_start[t + 1])
        theirs = leaves[leaves["tree_index"] == t]
        assert sorted(trees.leaf_count[leaf]) == sorted(theirs["count"])
        assert sorted(trees.leaf_value[leaf]) == pytest.approx(sorted(theirs["value"]), rel=1e-12)
    assert trees.is_categorical.any() and not trees.is_categorical.all()
    assert set(trees.feature[trees.is_categorical]) == {3}
    assert set(trees.missing_type[trees.feature == 1]) == {MISSING_NAN}
    assert not trees.feature.flags.writeable


def test_categories_are_the_bits_that_lightgbm_lists() -> None:
    trees = parse_model(TEXT)
    node = int(np.flatnonzero(trees.is_categorical)[0])
    t = int(np.searchsorted(trees.node_start, node, "right")) - 1
    words = trees.category_bits[trees.category_start[node] :][: trees.category_words[node]]
    ours = {32 * w + b for w in range(words.size) for b in range(32) if int(words[w]) >> b & 1}
    table = BOOSTER.trees_to_dataframe()
    listed = table[(table["tree_index"] == t) & (table["decision_type"] == "==")]["threshold"]
    assert ours in [{int(c) for c in str(categories).split("||")} for categories in listed]


def test_line_ends_of_windows_make_no_difference() -> None:
    a, b = parse_model(TEXT), parse_model(TEXT.replace("\n", "\r\n"))
    assert np.array_equal(a.threshold, b.threshold) and np.array_equal(a.leaf_value, b.leaf_value)


def test_a_constant_tree_has_one_leaf() -> None:
    trees = parse_model(_train(min_data_in_leaf=300).model_to_string())
    assert trees.feature.size == 0
    assert trees.leaf_value.size == trees.n_trees


def test_a_split_between_missing_and_all_else_has_an_infinite_threshold() -> None:
    trees = parse_model(_replaced(r"^threshold=\S+", "threshold=inf"))
    assert np.isinf(trees.threshold).sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin"),
        ("forest\n" + TEXT, "does not begin"),
        (TEXT[: TEXT.index("Tree=3")], "cut off"),
        (TEXT.replace("Tree=3", "Tree=4"), "tree 3 is expected"),
        (_replaced("^tree_sizes=[0-9]+ ", "tree_sizes="), "announces 5 trees, but 6"),
        (_replaced("^tree_sizes=.*\n", ""), "'tree_sizes'"),
        (_replaced("^version=v4", "version=v9"), "version 'v9'"),
        (_replaced("^max_feature_idx=3", "max_feature_idx=2"), "names 4 features"),
        (_replaced("^max_feature_idx=3", "max_feature_idx=three"), "other than integers"),
        (_replaced("^max_feature_idx=3", "max_feature_idx=-1"), "outside of"),
        (_replaced("^num_class=1", "num_class=1\nnum_class=1"), "twice"),
        (_replaced("^num_leaves=8", "num_leaves=9"), "leaf_value holds 8 values instead of 9"),
        (_replaced("^num_leaves=8", "num_leaves=99999999999"), "outside of"),
        (_replaced("^num_leaves=8", "num_leaves=0"), "outside of"),
        (_replaced("^leaf_value=", "leaf_value=0 "), "leaf_value holds 9"),
        (_replaced(r"^leaf_value=\S+", "leaf_value=inf"), "infinite"),
        (_replaced(r"^leaf_value=\S+", "leaf_value=nan"), "not a number"),
        (_replaced(r"^leaf_value=\S+", "leaf_value=x"), "other than numbers"),
        (_replaced(r"^threshold=\S+", "threshold=nan"), "not a number"),
        (_replaced("^leaf_count=.*\n", ""), "no field 'leaf_count'"),
        (_replaced("^leaf_count=[0-9]+", "leaf_count=0"), "leaf_count holds a value outside"),
        (_replaced("^internal_count=[0-9]+", "internal_count=7"), "do not add up"),
        (_replaced("^split_feature=[0-9]+", "split_feature=4"), "split_feature holds a value outside"),
        (_replaced("^split_feature=[0-9]+", "split_feature=-1"), "split_feature holds a value outside"),
        (_replaced("^decision_type=[0-9]+", "decision_type=12"), "decision_type holds a value outside"),
        (_replaced("^left_child=-?[0-9]+", "left_child=7"), "left_child holds a value outside"),
        (_replaced("^left_child=-?[0-9]+", "left_child=-9"), "left_child holds a value outside"),
        (_replaced("^left_child=-?[0-9]+", "left_child=0"), "every node but the root once"),
        (_replaced("^left_child=.*", "left_child=1 2 3 4 5 6 1"), "every node but the root once"),
        (_replaced("^right_child=.*", "right_child=-1 -1 -1 -1 -1 -1 -1"), "once"),
        (_replaced("^num_cat=[0-9]+", "num_cat=0"), "num_cat=0"),
        (_replaced("^cat_boundaries=.*", "cat_boundaries=0 99"), "cat_boundaries"),
        (_replaced("^cat_threshold=[0-9]+", "cat_threshold=4294967296"), "cat_threshold holds a value"),
        (_replaced("^is_linear=0", "is_linear=1"), "linear models"),
        (_replaced("^is_linear=0", "gibberish"), "a tree is expected"),
        (_replaced("^shrinkage=.*", "shrinkage=1\nshrinkage=1"), "twice"),
    ],
)
def test_malformed_texts_are_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        parse_model(text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"objective": "multiclass", "num_class": 3}, "several outputs"),
        ({"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}, "random forest"),
        ({"linear_tree": True}, "linear models"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(params: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        parse_model(_train(**params).model_to_string())


def test_a_cycle_is_refused() -> None:
    # Node 1 and node 2 are each other's child: everything is named once, but does not hang below the root.
    tree = [
        "num_leaves=4",
        "num_cat=0",
        "split_feature=0 0 0",
        "threshold=0 0 0",
        "decision_type=2 2 2",
        "left_child=-1 2 1",
        "right_child=-2 -3 -4",
        "leaf_value=0 0 0 0",
        "leaf_count=1 1 1 1",
        "internal_count=2 2 2",
    ]
    header = TEXT[: TEXT.index("tree_sizes=")] + "tree_sizes=1\n\nTree=0\n"
    with pytest.raises(ModelFormatError, match="after its parent"):
        parse_model("\n".join([header.rstrip("\n"), *tree, "", "end of trees", ""]))


TOKENS = ["", "0", "-1", "1", "7", "-9", "31", "1e9", "nan", "-inf", "x"]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_text_is_refused_or_consistent(data: st.DataObject) -> None:
    lines = TEXT[: TEXT.index("end of trees") + len("end of trees")].split("\n")
    row = data.draw(st.integers(0, len(lines) - 1))
    kind = data.draw(st.sampled_from(["drop", "repeat", "cut", "token"]))
    if kind == "drop":
        del lines[row]
    elif kind == "repeat":
        lines.insert(row, lines[row])
    elif kind == "cut":
        lines = lines[:row]
    else:
        key, equals, value = lines[row].partition("=")
        tokens = value.split(" ")
        at = data.draw(st.integers(0, len(tokens) - 1))
        tokens[at] = data.draw(st.sampled_from(TOKENS))
        lines[row] = key + equals + " ".join(tokens)
    try:
        trees = parse_model("\n".join(lines))
    except ModelFormatError:
        return
    _assert_consistent(trees)


def _assert_consistent(trees: TreeEnsemble) -> None:
    """What readers of the arrays rely on, so that no index is ever out of bounds."""
    assert np.all((trees.feature >= 0) & (trees.feature < trees.n_features))
    for t in range(trees.n_trees):
        nodes = slice(trees.node_start[t], trees.node_start[t + 1])
        n_nodes = nodes.stop - nodes.start
        assert trees.leaf_start[t + 1] - trees.leaf_start[t] == n_nodes + 1
        for children in (trees.left_child[nodes], trees.right_child[nodes]):
            assert np.all((children >= -n_nodes - 1) & (children < n_nodes))
            assert np.all((children < 0) | (children > np.arange(n_nodes)))
    assert np.all(trees.node_count >= 1) and np.all(trees.leaf_count >= 1)
    assert np.all(trees.category_start + trees.category_words <= trees.category_bits.size)
    assert np.all(np.isfinite(trees.leaf_value)) and not np.any(np.isnan(trees.threshold))
