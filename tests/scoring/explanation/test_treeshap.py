"""`TreeShap` against LightGBM's own contributions, shap and woodelf, and its promises of reproducibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.explanation import treeshap
from scoring.explanation.lightgbm_text import ModelFormatError, parse_model
from scoring.explanation.treeshap import TreeShap

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# What a column may hold: around LightGBM's zero, beyond float32 and int32, and categories that do not exist.
SPECIAL = np.array(
    [
        np.nan,
        0.0,
        -0.0,
        1e-35,
        1e-36,
        -1e-36,
        2e-35,
        -2e-35,
        np.inf,
        -np.inf,
        1e300,
        3e9,
        -3e9,
        -1.0,
        -0.5,
        1.5,
        40.0,
    ]
)


def _contributions(booster: lgb.Booster, x: Floats) -> Floats:
    result: Floats = booster.predict(x, pred_contrib=True, num_threads=2)
    return result


def _assert_exact(booster: lgb.Booster, x: Floats, tolerance: float = 1e-5) -> TreeShap:
    shap = TreeShap(parse_model(booster.model_to_string()))
    log_odds, contributions = shap.explain(x)
    theirs = _contributions(booster, x)
    assert np.abs(contributions - theirs[:, :-1]).max(initial=0.0) <= tolerance
    assert np.array_equal(log_odds, booster.predict(x, raw_score=True, num_threads=2))
    assert np.abs(shap.base_value + contributions.sum(axis=1) - log_odds).max(initial=0.0) <= 1e-9
    assert np.all(shap.base_value == theirs[:, -1])
    return shap


def _rows(rng: np.random.Generator, x: Floats, n: int) -> Floats:
    """Rows of ``x``, some of their values exchanged for others of the column or for special ones."""
    rows = x[rng.integers(0, len(x), n)]
    other = x[rng.integers(0, len(x), rows.shape), np.arange(x.shape[1])]
    rows = np.where(rng.random(rows.shape) < 0.2, other, rows)
    return np.where(rng.random(rows.shape) < 0.1, rng.choice(SPECIAL, rows.shape), rows)


def _data(rng: np.random.Generator, n: int, n_columns: int, n_categorical: int) -> tuple[Floats, Labels]:
    x = rng.normal(size=(n, n_columns)) * 10.0 ** rng.integers(-2, 3, n_columns)
    x[:, ::3] = np.round(x[:, ::3])
    x[:, :n_categorical] = rng.integers(0, 40, (n, n_categorical))
    x[rng.random(x.shape) < rng.choice([0.0, 0.1, 0.6], n_columns)] = np.nan
    signal = np.nan_to_num(x / (np.nanstd(x, axis=0) + 1.0)) @ rng.normal(size=n_columns)
    return x, (signal + rng.normal(size=n) > 0).astype(np.int64)


@st.composite
def trained_models(draw: st.DrawFn) -> tuple[lgb.Booster, Floats]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_columns = draw(st.integers(1, 12))
    n_categorical = draw(st.integers(0, min(3, n_columns)))
    x, y = _data(rng, draw(st.sampled_from([60, 400])), n_columns, n_categorical)
    params = {
        "objective": draw(st.sampled_from(["binary", "regression"])),
        "num_leaves": draw(st.sampled_from([2, 8, 31, 255])),
        "max_depth": draw(st.sampled_from([3, 5, -1])),
        "min_data_in_leaf": draw(st.sampled_from([1, 5, 50])),
        "min_data_per_group": 3,
        "cat_smooth": 1.0,
        "learning_rate": draw(st.sampled_from([0.05, 0.5])),
        "feature_fraction": draw(st.sampled_from([0.4, 1.0])),
        "bagging_fraction": 0.7,
        "bagging_freq": draw(st.integers(0, 1)),
        "use_missing": draw(st.booleans()),
        "zero_as_missing": draw(st.booleans()),
        "boost_from_average": draw(st.booleans()),
        "boosting": draw(st.sampled_from(["gbdt", "dart"])),
        "verbose": -1,
        "num_threads": 1,
    }
    data = lgb.Dataset(x, y, categorical_feature=list(range(n_categorical)))
    return lgb.train(params, data, draw(st.sampled_from([1, 12]))), _rows(rng, x, 40)


@settings(max_examples=60, deadline=None)
@given(trained_models())
def test_equals_lightgbm_on_trained_models(model: tuple[lgb.Booster, Floats]) -> None:
    _assert_exact(*model)


@dataclass
class Tree:
    """A tree as LightGBM writes it, to make models that training does not find."""

    fields: dict[str, Sequence[object]]

    def __str__(self) -> str:
        return "\n".join(f"{key}={' '.join(map(str, values))}" for key, values in self.fields.items())


def _tree(rng: np.random.Generator, n_columns: int, n_leaves: int, chain: bool, types: Sequence[int]) -> Tree:
    n_nodes = n_leaves - 1
    left, right = [0] * n_nodes, [0] * n_nodes
    left[0], right[0] = -1, -2
    ends = [(left, 0), (right, 0)]
    for node in range(1, n_nodes):
        # A tree grows as in LightGBM: a leaf becomes a node, and keeps its number as the new left leaf.
        at = len(ends) - 1 - int(rng.integers(0, 2)) if chain else int(rng.integers(0, len(ends)))
        side, parent = ends.pop(at)
        left[node], right[node] = side[parent], -node - 2
        side[parent] = node
        ends += [(left, node), (right, node)]
    leaf_count = rng.integers(1, rng.choice([3, 1000]) + 1, n_leaves)
    count = np.concatenate((leaf_count[::-1], np.zeros(n_nodes, np.int64)))
    for node in reversed(range(n_nodes)):
        count[n_leaves + node] = count[n_leaves + left[node]] + count[n_leaves + right[node]]
    decision = rng.choice(types, n_nodes)
    sets = rng.integers(0, 2**32, (3, 2))
    threshold = np.where(
        decision & 1, rng.integers(0, 3, n_nodes), rng.choice([-1.0, 0.0, 1e-35, 0.7, np.inf], n_nodes)
    )
    return Tree(
        {
            "num_leaves": [n_leaves],
            "num_cat": [3],
            "split_feature": rng.integers(0, n_columns, n_nodes),
            "threshold": threshold.tolist(),
            "decision_type": decision,
            "left_child": left,
            "right_child": right,
            "leaf_value": rng.normal(size=n_leaves).tolist(),
            "leaf_count": leaf_count,
            "internal_count": count[n_leaves:],
            "cat_boundaries": [0, 2, 4, 6],
            "cat_threshold": sets.ravel(),
            "is_linear": [0],
            "shrinkage": [1],
        }
    )


def _text(n_columns: int, trees: Sequence[Tree]) -> str:
    blocks = [f"Tree={i}\n{tree}\n\n\n" for i, tree in enumerate(trees)]
    header = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={n_columns - 1}",
        "objective=binary sigmoid:1",
        f"feature_names={' '.join(f'c{i}' for i in range(n_columns))}",
        f"feature_infos={' '.join(['[0:1]'] * n_columns)}",
        f"tree_sizes={' '.join(str(len(block)) for block in blocks)}",
    ]
    return "\n".join([*header, "", "".join(blocks) + "end of trees", ""])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_columns=st.integers(1, 30),
    n_leaves=st.lists(st.sampled_from([2, 3, 9, 30, 100]), max_size=5),
    chain=st.booleans(),
    types=st.sampled_from([[0, 2, 4, 6, 8, 10], [8, 10], [0, 1, 2, 9, 10], [1]]),
)
def test_equals_lightgbm_on_any_tree(
    seed: int, n_columns: int, n_leaves: list[int], chain: bool, types: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    trees = [_tree(rng, n_columns, n, chain, types) for n in n_leaves]
    size = (30, n_columns)
    x = np.where(rng.random(size) < 0.5, rng.choice(SPECIAL, size), rng.normal(size=size))
    booster = lgb.Booster(model_str=_text(n_columns, trees))
    if trees:
        _assert_exact(booster, x)
    else:
        shap = TreeShap(parse_model(_text(n_columns, trees)))
        assert shap.base_value == 0.0 and not np.any(shap.explain(x)[1])


def test_a_way_of_hundreds_of_columns_stays_additive() -> None:
    # Not compared with LightGBM, whose algorithm loses 1e-6 at 100 columns on a way and everything at 300.
    rng = np.random.default_rng(5)
    shap = TreeShap(parse_model(_text(400, [_tree(rng, 400, 300, True, [2])])))
    assert shap._tests.max() > 16, "more tests than are told apart in one step"
    log_odds, contributions = shap.explain(rng.normal(size=(50, 400)))
    assert np.abs(shap.base_value + contributions.sum(axis=1) - log_odds).max() <= 1e-9


def test_a_deeper_tree_than_supported_is_refused() -> None:
    tree = _tree(np.random.default_rng(0), 3, 700, True, [2])
    with pytest.raises(ModelFormatError, match="tree 0 is more than 500 splits deep"):
        TreeShap(parse_model(_text(3, [tree])))


def test_more_thresholds_than_a_code_column_holds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 2))
    params = {"max_bin": 2000, "min_data_in_bin": 1, "num_leaves": 255, "min_data_in_leaf": 1, "verbose": -1}
    booster = lgb.train({**params, "num_threads": 2}, lgb.Dataset(x, np.sin(9 * x[:, 0])), 8)
    shap = _assert_exact(booster, x[:300])
    assert shap._bins.first.size > 2


def test_constant_trees_contribute_nothing() -> None:
    x = np.zeros((50, 3))
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(x, np.arange(50) % 2), 3)
    shap = _assert_exact(booster, x)
    assert not np.any(shap.explain(x)[1])


def test_the_trees_up_to_the_best_iteration() -> None:
    x, y = _data(np.random.default_rng(3), 400, 5, 0)
    params = {"objective": "binary", "verbose": -1, "num_threads": 2}
    data = lgb.Dataset(x[100:], y[100:])
    stop = lgb.early_stopping(5, verbose=False)
    valid = data.create_valid(x[:100], y[:100])
    booster = lgb.train(params, data, 200, valid_sets=[valid], callbacks=[stop], keep_training_booster=True)
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    log_odds, contributions = TreeShap(parse_model(text)).explain(x)
    assert 0 < booster.best_iteration < booster.current_iteration()
    assert np.array_equal(log_odds, booster.predict(x, raw_score=True))
    assert np.abs(contributions - _contributions(booster, x)[:, :-1]).max() <= 1e-5


@pytest.fixture(scope="module")
def model() -> tuple[lgb.Booster, Floats]:
    rng = np.random.default_rng(11)
    x, y = _data(rng, 3000, 20, 2)
    params = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 5, "feature_fraction": 0.5}
    params |= {"min_data_per_group": 5, "verbose": -1, "num_threads": 2, "learning_rate": 0.1}
    return lgb.train(params, lgb.Dataset(x, y, categorical_feature=[0, 1]), 60), _rows(rng, x, 2000)


def test_groups_sum_the_contributions_of_their_columns(model: tuple[lgb.Booster, Floats]) -> None:
    booster, x = model
    groups = np.random.default_rng(0).integers(0, 6, 20).astype(np.int16)
    trees = parse_model(booster.model_to_string())
    grouped_log_odds, grouped = TreeShap(trees, groups, 7).explain(x)
    log_odds, single = TreeShap(trees).explain(x)
    assert grouped.shape == (len(x), 7) and not np.any(grouped[:, 6])
    for group in range(7):
        assert np.abs(grouped[:, group] - single[:, groups == group].sum(axis=1)).max() <= 1e-12
    assert np.array_equal(grouped_log_odds, log_odds)
    assert TreeShap(trees, groups).explain(x[:1])[1].shape == (1, int(groups.max()) + 1)


def _same(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> bool:
    return np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


def test_a_row_is_the_same_in_every_batch_order_layout_and_number_of_threads(
    model: tuple[lgb.Booster, Floats],
) -> None:
    booster, x = model
    shap = TreeShap(parse_model(booster.model_to_string()))
    whole = shap.explain(x, threads=1)
    assert _same(whole, shap.explain(x, threads=2))
    assert _same(whole, shap.explain(x, threads=3))
    order = np.random.default_rng(1).permutation(len(x))
    assert _same((whole[0][order], whole[1][order]), shap.explain(x[order]))
    for rows in ([0], [7], [1999], range(5, 18), range(100, 165), range(300, 1300)):
        part = list(rows)
        assert _same((whole[0][part], whole[1][part]), shap.explain(x[part]))
    assert _same(whole, shap.explain(np.asfortranarray(x)))
    assert _same(whole, shap.explain(np.repeat(x, 2, axis=0)[::2]))
    frozen = x.copy()
    frozen.flags.writeable = False
    assert _same(whole, shap.explain(frozen))


def test_float32_is_read_as_the_numbers_it_holds(model: tuple[lgb.Booster, Floats]) -> None:
    booster, x = model
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    shap = TreeShap(parse_model(booster.model_to_string()))
    assert _same(shap.explain(single), shap.explain(single.astype(np.float64)))
    assert _same(shap.explain(single), shap.explain(np.asfortranarray(single)))
    assert np.array_equal(shap.explain(single)[0], booster.predict(single, raw_score=True))


def test_blocks_of_rows_and_chunks_of_portions_make_no_difference(
    model: tuple[lgb.Booster, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    booster, x = model
    shap = TreeShap(parse_model(booster.model_to_string()))
    whole = shap.explain(x)
    monkeypatch.setattr(treeshap, "BLOCK_ROWS", 700)
    monkeypatch.setattr(treeshap, "_TABLE_BYTES", 2**16)
    monkeypatch.setattr(treeshap, "_CODING_ROWS", 300)
    monkeypatch.setattr(treeshap, "_ADDING_ROWS", 500)
    assert _same(whole, shap.explain(x))
    assert _same(whole, shap.explain(np.asfortranarray(x)))


def test_tables_take_no_more_memory_than_they_may_however_large_a_portion_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(9)
    # A comb of tests, each of a column of its own, is one portion, with a table of 500 columns.
    comb = _tree(rng, 500, 499, True, [2])
    comb.fields |= {"split_feature": np.arange(498), "threshold": rng.normal(size=498).tolist()}
    shap = TreeShap(parse_model(_text(500, [comb, _tree(rng, 500, 30, False, [2])])))
    x = rng.normal(size=(3000, 500))
    bytes_of: list[int] = []
    tabulate = treeshap.tabulate

    def noted(u0: int, u1: int, chunk: treeshap._Chunk, *rest: object) -> None:
        bytes_of.append(chunk.tables.nbytes)
        tabulate(u0, u1, chunk, *rest)

    monkeypatch.setattr(treeshap, "tabulate", noted)
    whole = shap.explain(x)
    assert max(bytes_of) > 2**22
    for limit in (2**22, 2**19):
        bytes_of.clear()
        monkeypatch.setattr(treeshap, "_TABLE_BYTES", limit)
        assert _same(whole, shap.explain(x))
        assert 0 < max(bytes_of) <= limit
    alone = shap.explain(x[-1:])
    assert _same((whole[0][-1:], whole[1][-1:]), alone)


def test_more_rows_than_outcomes_can_be_numbered_at_once() -> None:
    rng = np.random.default_rng(2)
    booster = lgb.Booster(model_str=_text(12, [_tree(rng, 12, 20, True, [2])]))
    shap = TreeShap(parse_model(booster.model_to_string()))
    x = rng.normal(size=(70_000, 12))
    log_odds, contributions = shap.explain(x)
    assert np.array_equal(log_odds, booster.predict(x, raw_score=True))
    assert np.abs(shap.base_value + contributions.sum(axis=1) - log_odds).max() <= 1e-9
    last = shap.explain(x[-3:])
    assert _same((log_odds[-3:], contributions[-3:]), last)


def test_no_rows(model: tuple[lgb.Booster, Floats]) -> None:
    log_odds, contributions = TreeShap(parse_model(model[0].model_to_string())).explain(np.zeros((0, 20)))
    assert log_odds.shape == (0,) and contributions.shape == (0, 20)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((3, 19)), ValueError, r"shape \(3, 19\), expected is \(rows, 20\)"),
        (np.zeros(20), ValueError, "shape"),
        (np.zeros((3, 20), np.int64), TypeError, "int64"),
        (np.zeros((3, 20), ">f8"), TypeError, "f8"),
    ],
)
def test_other_inputs_are_refused(
    model: tuple[lgb.Booster, Floats], x: Floats, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TreeShap(parse_model(model[0].model_to_string())).explain(x)


@pytest.mark.parametrize(
    ("groups", "n_groups", "message"),
    [
        (np.zeros(19, np.int16), None, "20 columns"),
        (np.zeros(20), None, "float64"),
        (np.arange(20, dtype=np.int16), 19, "0 to 19, but n_groups is 19"),
        (np.arange(20, dtype=np.int16) - 1, 20, "-1 to 18"),
    ],
)
def test_other_groups_are_refused(
    model: tuple[lgb.Booster, Floats], groups: NDArray[np.int16], n_groups: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TreeShap(parse_model(model[0].model_to_string()), groups, n_groups)


def test_threads_below_one_are_refused(model: tuple[lgb.Booster, Floats]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TreeShap(parse_model(model[0].model_to_string())).explain(np.zeros((1, 20)), threads=0)


def test_an_error_in_a_task_reaches_the_caller() -> None:
    def task(i: int) -> None:
        if i == 7:
            raise KeyError(i)

    with treeshap._Runner(2) as run, pytest.raises(KeyError):
        run(task, [(i,) for i in range(10)])


# The oracles below do not read LightGBM's native categories, so they get a model without.
@pytest.fixture(scope="module")
def numerical() -> tuple[lgb.Booster, Floats]:
    rng = np.random.default_rng(4)
    x, y = _data(rng, 1000, 8, 0)
    params = {"objective": "binary", "num_leaves": 12, "max_depth": 5, "verbose": -1, "num_threads": 2}
    return lgb.train(params, lgb.Dataset(x, y), 15), x[:100]


@pytest.mark.filterwarnings("ignore")
def test_equals_shap(numerical: tuple[lgb.Booster, Floats]) -> None:
    import shap

    booster, x = numerical
    theirs = np.asarray(shap.TreeExplainer(booster).shap_values(x))
    ours = TreeShap(parse_model(booster.model_to_string())).explain(x)[1]
    assert np.abs(ours - theirs).max() <= 1e-5


@pytest.mark.filterwarnings("ignore")
def test_equals_woodelf(numerical: tuple[lgb.Booster, Floats]) -> None:
    import pandas as pd
    import woodelf

    booster, x = numerical
    frame = pd.DataFrame(x, columns=booster.feature_name())
    explainer = woodelf.WoodelfExplainer(booster, feature_perturbation="tree_path_dependent")
    theirs = np.asarray(explainer.shap_values(frame, verbose=False))
    ours = TreeShap(parse_model(booster.model_to_string())).explain(x)[1]
    assert np.abs(ours - theirs).max() <= 1e-5
