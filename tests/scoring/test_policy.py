"""The policy: what it says, what it refuses and by which line, and decisions that follow from it."""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import PolicyError
from scoring.feature_groups import computed_from
from scoring.features import by_name
from scoring.policy import (
    DECISIONS,
    Policy,
    contract_types,
    default_policy,
    moved_decisions,
    parse_policy,
    suggested_decisions,
)
from scoring.preprocess import explained_features
from scoring.scorecard import score

FIGURES = """
line:
  gain: 1
  loss: 10
  review_width: 4
  by_contract_type:
    Revolving loans: {gain: 1, loss: 4}
"""
REVOLVING = next(c.code for c in by_name()["NAME_CONTRACT_TYPE"].categories if c.value == "Revolving loans")


def text(*changes: tuple[str, str]) -> str:
    found = default_policy().text
    for old, new in changes:
        assert old in found, old
        found = found.replace(old, new, 1)
    return found


def by_figures(lines: str = FIGURES) -> Policy:
    """The default policy, decided by the lender's figures."""
    return parse_policy(re.sub(r"decision: \w+, ", "", default_policy().text) + lines, "mine.yaml")


# What comes with the program


def test_neither_gender_nor_family_status_may_score_or_be_told() -> None:
    policy = default_policy()
    assert {"CODE_GENDER", "NAME_FAMILY_STATUS"} <= set(policy.barred)
    tellable = dict(zip([feature.name for feature in explained_features()], policy.tellable, strict=True))
    assert not tellable["CODE_GENDER"]
    assert not tellable["NAME_FAMILY_STATUS"]
    assert tellable["AMT_CREDIT"]


def test_each_feature_that_the_policy_names_has_its_reason_in_both_languages() -> None:
    for name, rule in default_policy().features.items():
        assert rule.because_en.endswith("."), name
        assert rule.because_fr.endswith("."), name


def test_a_policy_is_known_by_the_digest_of_its_file() -> None:
    policy = default_policy()
    assert policy.sha256 == hashlib.sha256(policy.text.encode()).hexdigest()


def test_what_can_be_suggested_has_words_in_both_languages() -> None:
    found = suggested_decisions()
    assert [words["decision"] for words in found] == list(DECISIONS)
    assert all(words["label_en"] and words["label_fr"] for words in found)


# Features


def test_what_is_computed_from_a_barred_feature_is_barred_too() -> None:
    income = "  AMT_INCOME_TOTAL: {may_score: no, because: {en: Because., fr: Parce que.}}\n"
    without = re.sub(
        r"  (ANNUITY|CREDIT)_INCOME_PERCENT: rises\n", "", text(("features:\n", f"features:\n{income}"))
    )
    barred = set(parse_policy(without, "mine.yaml").barred)
    computed = {name for name, columns in computed_from().items() if "AMT_INCOME_TOTAL" in columns}
    assert computed
    assert {"AMT_INCOME_TOTAL", *computed} <= barred


# Decisions


def test_every_score_has_one_band_and_bands_are_in_order() -> None:
    policy = default_policy()
    index = policy.band_index(np.arange(101, dtype=np.int16))
    assert (np.diff(index) >= 0).all()
    assert set(index.tolist()) == set(range(len(policy.bands)))
    assert all(policy.bands[band].minimum_score <= value for value, band in enumerate(index))


def test_bands_decide_where_there_are_no_figures() -> None:
    scores = np.array([0, 74, 75, 84, 85, 100], dtype=np.int16)
    nothing = np.full(6, np.nan)
    decided = default_policy().decision_index(scores, nothing, nothing)
    assert [DECISIONS[at] for at in decided] == ["decline", "decline", "review", "review", "accept", "accept"]


@given(st.floats(0, 1), st.sampled_from([0.0, float(REVOLVING), 1.0, math.nan]))
def test_figures_decide_by_the_default_probability_at_which_a_credit_breaks_even(
    probability: float, contract: float
) -> None:
    middle = 1 / 5 if contract == REVOLVING else 1 / 11
    scores = score(np.log(np.array([probability or 1e-300])))
    (decided,) = by_figures().decision_index(scores, np.array([probability]), np.array([contract]))
    expected = "accept" if probability < middle - 0.02 else "decline" if probability >= middle + 0.02 else "review"
    assert DECISIONS[decided] == expected


def test_ten_to_one_accepts_under_one_eleventh() -> None:
    policy = by_figures("line: {gain: 1, loss: 10}\n")
    assert policy.line is not None
    assert policy.line.limits() == (1 / 11, 1 / 11)


def test_the_contract_type_of_an_application_is_its_column() -> None:
    values = np.zeros((2, 120))
    values[:, by_name()["NAME_CONTRACT_TYPE"].feature_id - 1] = [1, 2]
    assert contract_types(values).tolist() == [1, 2]


def test_who_moved_is_counted_by_decision_before_and_now() -> None:
    counts = np.array([[5, 0, 2], [1, 7, 0], [0, 0, 9]])
    assert [(move.previous, move.decision, move.customers) for move in moved_decisions(counts)] == [
        ("accept", "decline", 2),
        ("review", "accept", 1),
    ]


# Points


@given(st.floats(-6, 6))
def test_points_are_linear_in_log_odds_and_double_the_odds_by_as_many_as_stated(log_odds: float) -> None:
    scale = parse_policy(text() + "points: {score: 600, odds: 15, double_the_odds: 20}\n", "mine.yaml").point_scale
    assert scale is not None
    here, half_the_risk = scale.points(np.array([log_odds, log_odds - math.log(2)]))
    assert half_the_risk - here == pytest.approx(20)
    assert scale.points(np.array([-math.log(15)])) == pytest.approx(600)


# What is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("CODE_GENDER:", "CODE_GENDR:"), r"there is no feature 'CODE_GENDR'; is it CODE_GENDER\?"),
        (
            ("may_score: no", "may_score: no\n    may_be_told: yes"),
            "so there is nothing of it to tell",
        ),
        (("may_score: no", "may_score: maybe"), "may_score is 'maybe'; it must be yes or no"),
        (("EXT_SOURCE_1: falls", "NAME_EDUCATION_TYPE: falls"), "NAME_EDUCATION_TYPE is a category"),
        (("EXT_SOURCE_1: falls", "CODE_GENDER: falls"), "CODE_GENDER is a category"),
        (("EXT_SOURCE_1: falls", "EXT_SOURCE_1: sinks"), "EXT_SOURCE_1 is 'sinks'; it must be one of rises, falls"),
        (("EXT_SOURCE_2: falls", "EXT_SOURCE_1: rises"), "directions names 'EXT_SOURCE_1' twice"),
        (("from: 75", "from: 76"), "band D begins at 76: score 75 would be in no band"),
        (("from: 75", "from: 74"), "band D begins at 74: score 74 would be in two bands"),
        (("to: 100", "to: 99"), "no band has the scores from 100 to 100"),
        (("decision: decline", "decision: accept"), "band D would be review, though a lower score is accept"),
        (("decision: review", "decision: perhaps"), "decision is 'perhaps'; it must be one of"),
        (("decision: review, ", ""), "a band needs 'decision'"),
        (("reasons: 4", "reasons: 5"), "reasons is '5'; it must be a whole number from 1 to 4"),
        (("wording:", "wordings:"), "a policy knows no 'wordings'"),
        (("bands:", "bunds:"), "a policy knows no 'bunds'"),
        (("least: 30", "least: 130"), "the least amount is more than the most"),
        (("{en: Default policy, fr", "{en: '', fr"), "en must be a text"),
        (("name: {en", "name: [en"), "this is not YAML"),
    ],
)
def test_a_broken_rule_is_told_by_its_line(change: tuple[str, str], said: str) -> None:
    broken = text(change)
    at = next(
        number
        for number, (old, new) in enumerate(
            zip(default_policy().text.splitlines(), broken.splitlines(), strict=False), 1
        )
        if old != new
    )
    with pytest.raises(PolicyError, match=said) as refused:
        parse_policy(broken, "mine.yaml")
    place = re.match(r"mine\.yaml line (\d+): ", str(refused.value))
    assert place, refused.value
    # Of a thing that is missing the line is that of what it is missing from.
    assert abs(int(place[1]) - at) <= 7 or "no band has" in said or "knows no" in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("line: {gain: 0, loss: 10}\n", r"gain is 0; it must be more than 0"),
        ("line: {gain: 1, loss: -3}\n", r"loss is -3; it must be more than 0"),
        ("line: {gain: 1, loss: .nan}\n", r"loss is '\.nan'; it must be a number"),
        ("line: {gain: 1}\n", r"line needs 'loss'"),
        ("line: {gain: 1, loss: 10, review_width: 40}\n", r"reviews within 20 points of 9\.1 % would go beyond"),
        (
            "line: {gain: 1, loss: 10, by_contract_type: {Gifts: {gain: 1, loss: 1}}}\n",
            r"'Gifts' is no contract type; there are Cash loans, Revolving loans",
        ),
        (
            "points: {score: 600, odds: 0, double_the_odds: 20}\nline: {gain: 1, loss: 10}\n",
            r"odds is 0; it must be more than 0",
        ),
    ],
)
def test_figures_that_make_no_sense_are_told_by_their_line(lines: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as refused:
        by_figures(lines)
    last = len(default_policy().text.splitlines()) + 1
    assert re.match(rf"mine\.yaml line {last}: ", str(refused.value))


def test_bands_have_no_decisions_beside_figures() -> None:
    with pytest.raises(PolicyError, match="a band knows no 'decision'"):
        parse_policy(default_policy().text + "line: {gain: 1, loss: 10}\n", "mine.yaml")


def refusal(content: str) -> str:
    """Why a policy is refused, nothing if it is read."""
    try:
        parse_policy(content, "mine.yaml")
    except PolicyError as error:
        return str(error)
    return ""


@given(st.text(max_size=200))
def test_whatever_the_file_holds_it_is_read_or_refused_in_one_sentence(content: str) -> None:
    assert re.fullmatch(r"mine\.yaml[^\n]+", refusal(content))


@given(
    st.integers(0, len(default_policy().text)), st.sampled_from(["", ":", "- ", "{", "&a ", "*a", "\t", "\0", "no"])
)
def test_a_policy_that_was_cut_and_mistyped_anywhere_is_read_or_refused_in_one_sentence(
    place: int, typed: str
) -> None:
    content = default_policy().text
    for broken in (content[:place] + typed, content[:place] + typed + content[place:]):
        assert re.fullmatch(r"(mine\.yaml[^\n]+)?", refusal(broken))
