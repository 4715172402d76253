"""A night as a whole: sums add up in any order, drift is the textbook's, bins fit the former customers."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import scorecard
from scoring.baseline import Baseline, Bins
from scoring.batch import Scored, score_batch
from scoring.contract import Applications
from scoring.errors import ArtefactError
from scoring.fairness import groups, known_groups
from scoring.features import by_name
from scoring.monitoring import PSI_FLOOR, Sums, stability_index, summarise
from scoring.preprocess import explained_features, feature_values
from scoring.training import Trained

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
COUNTS = st.lists(st.integers(0, 1000), min_size=3, max_size=12)


@pytest.fixture(scope="module")
def scored(trained: Trained, new: Applications) -> Scored:
    return score_batch(trained.bundle, new, threads=2)


@pytest.fixture(scope="module")
def sums(trained: Trained, scored: Scored) -> Sums:
    return Sums.of(scored, trained.bundle.baseline, trained.bundle.base_value)


def chunks(scored: Scored, sizes: list[int]) -> list[Scored]:
    ends = np.cumsum(sizes).tolist()
    return [scored.take(np.arange(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def close(one: Sums, other: Sums) -> bool:
    return all(
        np.allclose(getattr(one, each.name), getattr(other, each.name), rtol=1e-12, atol=1e-9)
        for each in fields(Sums)
    )


# Bins


@given(st.lists(NUMBERS | st.just(float("nan")), max_size=200))
def test_bins_of_numbers_hold_every_value_once_and_tear_no_equal_ones_apart(values: list[float]) -> None:
    bins = Bins.of_numbers(np.array(values))
    present = np.sort([value for value in values if not np.isnan(value)])
    assert sum(bins.counts) == len(values)
    assert bins.counts[-1] == len(values) - len(present)
    assert len(bins.counts) == len(bins.edges) + 2 <= 11
    assert list(bins.edges) == sorted(set(bins.edges))
    if len(present):
        found = np.searchsorted(bins.edges, present, side="left")
        assert np.bincount(found, minlength=len(bins.counts) - 1).tolist() == list(bins.counts[:-1])
        assert all(bins.counts[:-1])
        for place in range(len(bins.counts) - 1):
            own = present[found == place]
            assert (bins.minima[place], bins.maxima[place]) == (own[0], own[-1])


def test_distinct_numbers_make_ten_bins_of_equal_size() -> None:
    assert Bins.of_numbers(np.random.default_rng(0).random(5_000)).counts == (*[500] * 10, 0)


def test_a_small_whole_number_is_a_bin_of_its_own() -> None:
    bins = Bins.of_numbers(np.repeat([0.0, 1.0, 2.0, 7.0], [70, 20, 9, 1]))
    assert bins.edges == (0.0, 1.0)
    assert (bins.minima, bins.maxima, bins.counts) == ((0, 1, 2), (0, 1, 7), (70, 20, 10, 0))


def test_the_baseline_survives_its_json_and_refuses_another_dictionary(trained: Trained) -> None:
    baseline = trained.bundle.baseline
    data = json.loads(json.dumps(baseline.to_json(), allow_nan=False))
    assert Baseline.from_json(data) == baseline
    missing = {**data, "features": {name: bins for name, bins in data["features"].items() if name != "AMT_CREDIT"}}
    shorter = json.loads(json.dumps(data))
    shorter["features"]["OCCUPATION_TYPE"]["counts"].pop()
    for changed in (missing, shorter):
        with pytest.raises(ArtefactError, match="train again"):
            Baseline.from_json(changed)


def test_the_baseline_counts_the_former_customers(trained: Trained, former: Applications) -> None:
    values, coded = feature_values(former.values)
    lines = trained.bundle.baseline.lines()
    for position, feature in enumerate(explained_features()):
        own = {line.bin: line for line in lines if line.feature_id == feature.feature_id}
        assert sum(line.customers for line in own.values()) == len(former)
        assert own[-1].customers == np.isnan(values[:, position]).sum()
        if coded[position]:
            for code in (category.code for category in feature.categories):
                assert own[code].customers == (values[:, position] == code).sum()


# Sums


def test_sums_are_those_of_plain_numpy(trained: Trained, scored: Scored, sums: Sums) -> None:
    baseline = trained.bundle.baseline
    points = scorecard.points(scored.contributions, scored.log_odds, trained.bundle.base_value)
    assert np.allclose(sums.absolute_contribution, np.abs(scored.contributions).sum(axis=0))
    assert np.allclose(sums.absolute_points, np.abs(points).sum(axis=0))
    assert sums.scores.sum() == sums.log_odds.sum() == sums.customers == len(scored.score)
    for at, bins in enumerate(baseline.features):
        values = scored.values[:, at]
        size = len(bins.counts)
        place = values if scored.coded[at] else np.searchsorted(bins.edges, values, side="left")
        place = np.where(np.isnan(values), size - 1, place).astype(int)
        own = slice(baseline.starts[at], baseline.starts[at + 1])
        assert sums.count[own].tolist() == np.bincount(place, minlength=size).tolist()
        for name, weights in (
            ("contribution", scored.contributions[:, at]),
            ("points", points[:, at]),
            ("squared_points", points[:, at] ** 2),
        ):
            assert np.allclose(getattr(sums, name)[own], np.bincount(place, weights, minlength=size))


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=6), seed=st.integers(0, 1000))
def test_chunks_add_up_whatever_their_sizes_and_order(
    trained: Trained, scored: Scored, sums: Sums, cuts: list[int], seed: int
) -> None:
    ends = np.array([0, *sorted(cuts), len(scored.score)])
    parts = [
        Sums.of(chunk, trained.bundle.baseline, trained.bundle.base_value)
        for chunk in chunks(scored, np.diff(ends).tolist())
    ]
    shuffled = [parts[place] for place in np.random.default_rng(seed).permutation(len(parts))]
    total = shuffled[0]
    for part in shuffled[1:]:
        total = total + part
    assert close(total, sums)
    assert total.customers == sums.customers
    assert (total.count == sums.count).all()


def test_a_code_that_the_dictionary_does_not_have_counts_as_unknown(trained: Trained, scored: Scored) -> None:
    at = [feature.name for feature in explained_features()].index("OCCUPATION_TYPE")
    values = scored.values.copy()
    values[:3, at] = (0, 500, np.nan)
    found = Sums.of(replace(scored, values=values), trained.bundle.baseline, trained.bundle.base_value)
    summary = summarise(found, trained.bundle.baseline)
    assert summary is not None
    line = next(line for line in summary.features if line.feature_id == by_name()["OCCUPATION_TYPE"].feature_id)
    assert line.unknown == 2


# Summaries


def test_a_summary_is_what_the_customers_are_on_average(trained: Trained, scored: Scored, sums: Sums) -> None:
    summary = summarise(sums, trained.bundle.baseline)
    assert summary is not None
    assert summary.mean_score == pytest.approx(scorecard.exact_score(scored.log_odds).mean())
    assert summary.mean_default_probability == pytest.approx(scored.default_probability.mean())
    assert summary.approval_rate == np.mean(scored.score >= 85)
    assert {line.score: line.customers for line in summary.scores} == dict(
        zip(*(each.tolist() for each in np.unique(scored.score, return_counts=True)), strict=True)
    )
    points = scorecard.points(scored.contributions, scored.log_odds, trained.bundle.base_value)
    for at, line in enumerate(summary.features):
        assert line.mean_contribution == pytest.approx(scored.contributions[:, at].mean())
        assert line.mean_absolute_points == pytest.approx(np.abs(points[:, at]).mean())
        assert line.missing == np.isnan(scored.values[:, at]).sum()
        own = [each for each in summary.bins if each.feature_id == line.feature_id]
        assert sum(each.customers for each in own) == line.customers == len(scored.score)
        assert sum(each.customers * each.mean_points for each in own) == pytest.approx(
            points[:, at].sum(), abs=1e-9
        )


def test_the_correlation_is_pearsons_of_bin_and_points(trained: Trained, scored: Scored, sums: Sums) -> None:
    baseline = trained.bundle.baseline
    summary = summarise(sums, baseline)
    assert summary is not None
    points = scorecard.points(scored.contributions, scored.log_odds, trained.bundle.base_value)
    told = 0
    for at, line in enumerate(summary.features):
        present = ~np.isnan(scored.values[:, at])
        place = np.searchsorted(baseline.features[at].edges, scored.values[present, at], side="left")
        own = points[present, at]
        if explained_features()[at].categories or np.std(place) == 0 or np.std(own) < 1e-6:
            continue
        assert line.correlation == pytest.approx(np.corrcoef(place, own)[0, 1], abs=1e-6)
        told += 1
    assert told > 20
    by_feature = {line.feature_id: line for line in summary.features}
    assert by_feature[by_name()["EXT_SOURCE_2"].feature_id].correlation > 0.5
    assert by_feature[by_name()["OCCUPATION_TYPE"].feature_id].correlation is None


def test_a_night_without_customers_has_no_summary(trained: Trained, scored: Scored) -> None:
    nobody = scored.take(np.array([], dtype=np.intp))
    empty = Sums.of(nobody, trained.bundle.baseline, trained.bundle.base_value)
    assert summarise(empty, trained.bundle.baseline) is None


# Drift


@given(COUNTS, COUNTS)
def test_the_stability_index_is_the_textbooks_sum(actual: list[int], expected: list[int]) -> None:
    size = min(len(actual), len(expected))
    actual, expected = actual[:size], expected[:size]
    index = stability_index(actual, expected)
    if not sum(actual) or not sum(expected):
        assert np.isnan(index)
        return
    plain = 0.0
    for a, e in zip(actual, expected, strict=True):
        a, e = max(a / sum(actual), PSI_FLOOR), max(e / sum(expected), PSI_FLOOR)
        plain += (a - e) * np.log(a / e)
    assert index == pytest.approx(plain, abs=1e-12)
    assert index >= 0
    assert stability_index(expected, actual) == pytest.approx(index, abs=1e-12)


def test_the_stability_index_of_a_worked_example() -> None:
    # Shares 20 and 80 % against 50 and 50 %: -0.3 ln 0.4 + 0.3 ln 1.6.
    assert stability_index([20, 80], [500, 500]) == pytest.approx(0.3 * np.log(4))
    assert stability_index([7, 3], [70, 30]) == 0


def test_former_customers_have_not_drifted_from_themselves_and_changed_ones_have(
    trained: Trained, former: Applications
) -> None:
    bundle = trained.bundle
    scored = score_batch(bundle, former, threads=2)
    same = summarise(Sums.of(scored, bundle.baseline, bundle.base_value), bundle.baseline)
    assert same is not None
    assert max(line.psi for line in same.features) == 0
    richer = former.values.copy()
    names = [feature.name for feature in explained_features()]
    richer[:, names.index("AMT_INCOME_TOTAL")] *= 3
    changed = score_batch(bundle, replace(former, values=richer), threads=2)
    drifted = summarise(Sums.of(changed, bundle.baseline, bundle.base_value), bundle.baseline)
    assert drifted is not None
    psi = {names[at]: line.psi for at, line in enumerate(drifted.features)}
    assert psi["AMT_INCOME_TOTAL"] > 0.25
    assert psi["AMT_CREDIT"] == 0


def test_a_value_that_a_tenth_share_drifts_no_more_than_others() -> None:
    """As the 20 annuities of every revolving credit: it must not lie now in one bin, now in the next."""
    rng = np.random.default_rng(3)
    values = np.where(rng.random(20_000) < 0.1, 20.0, rng.uniform(8, 40, 20_000))
    bins = Bins.of_numbers(values[:10_000])
    found = np.bincount(np.searchsorted(bins.edges, values[10_000:], side="left"), minlength=len(bins.counts))
    assert stability_index(found, bins.counts) < 0.01


# Fairness and gains


def test_groups_are_counted_by_gender_and_age(trained: Trained, former: Applications) -> None:
    assert former.target is not None
    found = groups(former, trained.out_of_fold_log_odds)
    assert found == trained.bundle.metrics["groups"]
    names = [feature.name for feature in explained_features()]
    age = former.values[:, names.index("DAYS_BIRTH")] / -365.25
    scores = scorecard.score(trained.out_of_fold_log_odds)
    accepted, declined = scores >= 85, scores < 75
    probability = scorecard.default_probability(trained.out_of_fold_log_odds)
    for kind in ("gender", "age"):
        own = [group for group in found if group["kind"] == kind]
        assert sum(group["customers"] for group in own) == len(former)
    thirties = next(group for group in found if group["code"] == 30 and group["kind"] == "age")
    rows = (age >= 30) & (age < 40)
    assert thirties["upper"] == 39
    assert thirties["customers"] == rows.sum()
    bad = former.target == 1
    assert thirties["accepted"] == (accepted & rows).sum()
    assert thirties["defaulted"] == (bad & rows).sum()
    assert thirties["repaid_declined"] == (declined & rows & ~bad).sum()
    assert thirties["defaulted_accepted"] == (accepted & rows & bad).sum() > 0
    assert thirties["mean_default_probability"] == pytest.approx(probability[rows].mean())
    assert thirties["mean_score"] == pytest.approx(100 * (1 - probability[rows].mean()))
    youngest = next(group for group in found if group["kind"] == "age" and group["code"] == 10)
    assert youngest["upper"] == 29
    assert youngest["customers"] == (age < 30).sum()


def test_of_fewer_than_30_people_nothing_is_told_but_how_many(trained: Trained, former: Applications) -> None:
    few = former.take(np.arange(40))
    assert few.target is not None
    found = groups(few, trained.out_of_fold_log_odds[:40])
    small = [group for group in found if group["customers"] < 30]
    assert small
    for group in small:
        told = {name for name, value in group.items() if value is not None}
        assert told <= {"kind", "code", "upper", "customers"}
    # A group may be large enough, and those in it who defaulted may not.
    assert {group["defaulted_accepted"] for group in found} == {None}


def test_a_nights_groups_are_counted_in_any_order_of_its_chunks(
    trained: Trained, new: Applications, sums: Sums, scored: Scored
) -> None:
    night = summarise(sums, trained.bundle.baseline)
    assert night is not None
    values, _ = feature_values(new.values)
    names = [feature.name for feature in explained_features()]
    gender, years = values[:, names.index("CODE_GENDER")], values[:, names.index("DAYS_BIRTH")] / -365.25
    for group in night.groups:
        if group.kind == "gender":
            rows = np.isnan(gender) if group.code is None else gender == group.code
        else:
            assert group.code is not None
            upper = np.inf if group.upper is None else group.upper + 1
            rows = (years >= (0 if group.code == 10 else group.code)) & (years < upper)
        assert group.customers == rows.sum() > 0
        if group.customers >= 30:
            assert group.accepted == (scored.score[rows] >= 85).sum()
            assert group.mean_default_probability == pytest.approx(scored.default_probability[rows].mean())
        else:
            assert group.accepted is group.mean_default_probability is None
    assert sum(group.customers for group in night.groups) == 2 * len(new)


def test_whoever_has_no_gender_an_unknown_one_or_no_age_is_in_a_group_too(
    trained: Trained, new: Applications
) -> None:
    values = new.values.copy()
    names = [feature.name for feature in explained_features()]
    values[:40, names.index("CODE_GENDER")] = np.nan
    values[40:80, names.index("CODE_GENDER")] = 0
    values[:35, names.index("DAYS_BIRTH")] = np.nan
    scored = score_batch(trained.bundle, replace(new, values=values), threads=2)
    summary = summarise(
        Sums.of(scored, trained.bundle.baseline, trained.bundle.base_value), trained.bundle.baseline
    )
    assert summary is not None
    found = {(group.kind, group.code): group.customers for group in summary.groups}
    assert (found[("gender", None)], found[("gender", 0)], found[("age", None)]) == (40, 40, 35)
    assert found.keys() <= {(group.kind, group.code) for group in known_groups()}


def test_gains_find_all_defaults_and_begin_with_the_riskiest(trained: Trained, former: Applications) -> None:
    assert former.target is not None
    gains = trained.bundle.metrics["gains"]
    assert [line["decile"] for line in gains] == list(range(1, 11))
    assert sum(line["customers"] for line in gains) == len(former)
    assert sum(line["defaulted"] for line in gains) == former.target.sum()
    assert gains[-1]["share_of_defaults"] == 1
    assert gains[0]["lift"] == pytest.approx(gains[0]["default_rate"] / former.target.mean())
    assert gains[0]["lift"] > 1.5 > gains[-1]["lift"]
    assert all(one["maximum_score"] <= other["minimum_score"] for one, other in pairwise(gains))
