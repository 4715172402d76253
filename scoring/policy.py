"""The lender's policy: which features may score and be told, directions, the line between decisions, points.

A policy is the text of a YAML file, known by the SHA-256 of its bytes; `dictionary/policy.yaml` is the one that
comes with the program, and says what each part means.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from scoring.dictionary_lines import read_lines
from scoring.errors import PolicyError
from scoring.feature_groups import computed_from
from scoring.features import Feature, by_name
from scoring.policy_lines import Entry, read
from scoring.preprocess import explained_features

Decision = Literal["accept", "review", "decline"]
Direction = Literal["rises", "falls"]
Vector = NDArray[np.float64]

DECISIONS: tuple[Decision, ...] = ("accept", "review", "decline")
CONTRACT_TYPE = "NAME_CONTRACT_TYPE"
DEFAULT_FILE = "policy.yaml"
LARGEST_TEXT = 1_000_000
MOST_REASONS = 4
LONGEST_REVIEW = 365
_DECISIONS_FILE = "decisions.csv"


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """What holds for a feature that the policy speaks of, and why."""

    may_score: bool
    may_be_told: bool
    because_en: str
    because_fr: str


@dataclass(frozen=True, slots=True)
class Band:
    """Scores from `minimum_score` up to the next band; the decision they suggest, None where figures decide."""

    band: str
    minimum_score: int
    decision: Decision | None
    label_en: str
    label_fr: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a credit that is repaid brings, and what one that is not costs, in one unit."""

    gain: float
    loss: float

    @property
    def break_even(self) -> float:
        """The default probability at which a credit brings as much as it costs, gain / (gain + loss)."""
        return self.gain / (self.gain + self.loss)


@dataclass(frozen=True, slots=True)
class Line:
    """Decisions from the lender's own figures.

    Attributes
    ----------
    figures: those of every contract type that has none of its own.
    by_contract_type: by the type's code.
    review_width: how wide the band of reviews around the break-even is, as a probability.
    """

    figures: Figures
    by_contract_type: Mapping[int, Figures]
    review_width: float

    def figures_of(self, code: int | None = None) -> Figures:
        """The figures of a contract type by its code; without one, those of all that have none of their own."""
        return self.by_contract_type.get(code or 0, self.figures)

    def limits(self, code: int | None = None) -> tuple[float, float]:
        """Accepted is under the first default probability, declined from the second on."""
        middle = self.figures_of(code).break_even
        return middle - self.review_width / 2, middle + self.review_width / 2


@dataclass(frozen=True, slots=True)
class PointScale:
    """Points linear in log-odds: `score` points at `odds` of repaying, `double_the_odds` more where they double."""

    score: float
    odds: float
    double_the_odds: float

    @property
    def factor(self) -> float:
        """Points for one unit of log-odds of repaying (Siddiqi 2006, "Credit Risk Scorecards", chapter 6)."""
        return self.double_the_odds / math.log(2.0)

    def points(self, log_odds: Vector) -> Vector:
        """The points of log-odds of default, shape kept."""
        return self.score - self.factor * (log_odds + math.log(self.odds))


@dataclass(frozen=True, slots=True)
class WhatIfLimits:
    """How far a what-if may go: amount in % of the one asked for, durations in months."""

    least_percent: int
    most_percent: int
    least_months: int
    most_months: int


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """How a decision is looked at again: by somebody who has not decided, and within how many days."""

    four_eyes: bool = True
    days: int = 30


@dataclass(frozen=True)
class Policy:
    """A policy that was read and keeps every rule.

    Attributes
    ----------
    text: the file as it is; everything else is read from it.
    features: the rules of the features that it speaks of, by name.
    directions: whether the risk rises or falls with the feature's value as people read it, by name.
    bands: the lowest score first; the first begins at 0.
    line: the lender's own figures, None where the bands decide.
    reasons: how many reasons a refusal is told with at most.
    review: how a decision is looked at again when the customer asks for it.
    """

    text: str
    name_en: str
    name_fr: str
    features: Mapping[str, FeatureRule]
    directions: Mapping[str, Direction]
    bands: tuple[Band, ...]
    line: Line | None
    point_scale: PointScale | None
    what_if: WhatIfLimits
    reasons: int
    review: ReviewRule = ReviewRule()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes, as hexadecimal text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def barred(self) -> tuple[str, ...]:
        """The features that may not score, in the dictionary's order: those named and those computed from them."""
        return barred(self.features)

    @cached_property
    def tellable(self) -> NDArray[np.bool_]:
        """Which of the explained features may be told as a reason, shape (features,)."""
        untold = {name for name, rule in self.features.items() if not rule.may_be_told} | set(self.barred)
        return np.array([feature.name not in untold for feature in explained_features()])

    def band_index(self, scores: NDArray[np.int16]) -> NDArray[np.intp]:
        """For each score its band's position in `bands`."""
        return np.searchsorted([band.minimum_score for band in self.bands], scores, side="right") - 1

    def decision_index(
        self, scores: NDArray[np.int16], default_probability: Vector, contract_type: Vector
    ) -> NDArray[np.intp]:
        """For each application its suggested decision's position in `DECISIONS`.

        Parameters
        ----------
        scores, default_probability: shape (n,).
        contract_type: codes of the contract type, shape (n,); NaN and 0 where it is not known.
        """
        if self.line is None:
            of_band = np.array([DECISIONS.index(cast("Decision", band.decision)) for band in self.bands])
            return of_band[self.band_index(scores)]
        accepted, declined = (np.full(len(scores), limit) for limit in self.line.limits())
        for code in self.line.by_contract_type:
            accepted[contract_type == code], declined[contract_type == code] = self.line.limits(code)
        return np.where(default_probability < accepted, 0, np.where(default_probability >= declined, 2, 1))


@dataclass(frozen=True, slots=True)
class Moved:
    """How many customers a change of policy moved from one decision to another."""

    previous: Decision
    decision: Decision
    customers: int


def moved_decisions(counts: NDArray[np.int64]) -> tuple[Moved, ...]:
    """Who moved, from counts by decision before and decision now, shape (3, 3), in the order of `DECISIONS`."""
    return tuple(
        Moved(DECISIONS[before], DECISIONS[now], int(counts[before, now]))
        for before, now in zip(*np.nonzero(counts), strict=True)
        if before != now
    )


@cache
def suggested_decisions() -> list[dict[str, Any]]:
    """What can be suggested, in words of both languages, in the order of `DECISIONS`."""
    text = files("scoring").joinpath("dictionary", _DECISIONS_FILE).read_text(encoding="utf-8")
    lines = read_lines(_DECISIONS_FILE, text, ("decision", "label_en", "label_fr"))
    found = {line.choice("decision", DECISIONS): line.cells for line in lines}
    return [{"place": place + 1, **found[decision]} for place, decision in enumerate(DECISIONS)]


def contract_types(values: Vector) -> Vector:
    """The codes of the contract types of applications, shape (n, 120) in, (n,) out; NaN and 0 are unknown ones."""
    return values[:, by_name()[CONTRACT_TYPE].feature_id - 1]


@cache
def default_policy() -> Policy:
    """The policy that comes with the program."""
    text = files("scoring").joinpath("dictionary", DEFAULT_FILE).read_text(encoding="utf-8")
    return parse_policy(text, DEFAULT_FILE)


def parse_policy(text: str, file: str) -> Policy:
    """The policy of a YAML text. Raises PolicyError, naming the line of `file`, at the first rule it breaks."""
    if len(text) > LARGEST_TEXT:
        raise PolicyError(f"{file} has {len(text):,} characters; a policy has at most {LARGEST_TEXT:,}.")
    parts = read(file, text).fields(
        ("name", "features", "bands"), ("directions", "line", "points", "what_if", "wording", "review")
    )
    name_en, name_fr = parts["name"].both_languages()
    rules = _rules(parts["features"])
    line = _line(parts["line"]) if "line" in parts else None
    wording = parts["wording"].fields(("reasons",)) if "wording" in parts else {}
    return Policy(
        text=text,
        name_en=name_en,
        name_fr=name_fr,
        features=rules,
        directions=_directions(parts["directions"], barred(rules)) if "directions" in parts else {},
        bands=_bands(parts["bands"], by_figures=line is not None),
        line=line,
        point_scale=_point_scale(parts["points"]) if "points" in parts else None,
        what_if=_what_if(parts["what_if"]) if "what_if" in parts else default_policy().what_if,
        reasons=wording["reasons"].whole(1, MOST_REASONS) if wording else MOST_REASONS,
        review=_review(parts["review"]) if "review" in parts else ReviewRule(),
    )


def _review(entry: Entry) -> ReviewRule:
    fields = entry.fields((), ("four_eyes", "days"))
    return ReviewRule(
        fields["four_eyes"].yes() if "four_eyes" in fields else True,
        fields["days"].whole(1, LONGEST_REVIEW) if "days" in fields else 30,
    )


def barred(rules: Mapping[str, FeatureRule]) -> tuple[str, ...]:
    """The features that may not score, in the dictionary's order: those named and those computed from them."""
    named = {name for name, rule in rules.items() if not rule.may_score}
    computed = {name for name, columns in computed_from().items() if named & set(columns)}
    return tuple(feature.name for feature in explained_features() if feature.name in named | computed)


def _rules(entry: Entry) -> dict[str, FeatureRule]:
    rules, places = {}, {}
    for name, part in entry.mapping().items():
        _feature(part)
        fields = part.fields(("may_score", "because"), ("may_be_told",))
        may_score = fields["may_score"].yes()
        may_be_told = fields["may_be_told"].yes() if "may_be_told" in fields else may_score
        if may_be_told and not may_score:
            fields["may_be_told"].fail(f"{name} may not score, so there is nothing of it to tell.")
        rules[name] = FeatureRule(may_score, may_be_told, *fields["because"].both_languages())
        places[name] = part
    for name in barred(rules):
        if name in rules and rules[name].may_score:
            source = next(column for column in computed_from()[name] if column in barred(rules))
            places[name].fail(f"{name} is computed from {source}, which may not score, so it may not either.")
    return rules


def _directions(entry: Entry, not_scoring: Sequence[str]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name, part in entry.mapping().items():
        feature = _feature(part)
        if feature.categories:
            part.fail(f"{name} is a category: its values have no order in which a risk could rise.")
        if name in not_scoring:
            part.fail(f"{name} may not score, so its risk can neither rise nor fall.")
        found[name] = cast("Direction", part.choice(("rises", "falls")))
    return found


def _bands(entry: Entry, *, by_figures: bool) -> tuple[Band, ...]:
    found: list[Band] = []
    following = 0
    for part in entry.items("a band"):
        words = ("band", "from", "to", "label")
        fields = part.fields(words if by_figures else (*words, "decision"))
        name, first, last = fields["band"].words(), fields["from"].whole(0, 100), fields["to"].whole(0, 100)
        if any(name == band.band for band in found):
            part.fail(f"there are two bands {name!r}.")
        if first != following:
            what = "no band" if first > following else "two bands"
            part.fail(f"band {name} begins at {first}: score {min(first, following)} would be in {what}.")
        if last < first:
            part.fail(f"band {name} ends at {last}, before it begins.")
        decision = None if by_figures else cast("Decision", fields["decision"].choice(DECISIONS))
        if decision and found and DECISIONS.index(decision) > DECISIONS.index(cast("Decision", found[-1].decision)):
            part.fail(f"band {name} would be {decision}, though a lower score is {found[-1].decision}.")
        found.append(Band(name, first, decision, *fields["label"].both_languages()))
        following = last + 1
    if following != 101:
        entry.fail(f"no band has the scores from {following} to 100.")
    return tuple(found)


def _line(entry: Entry) -> Line:
    fields = entry.fields(("gain", "loss"), ("review_width", "by_contract_type"))
    figures = {0: _figures(fields)}
    if "by_contract_type" in fields:
        codes = {category.value: category.code for category in by_name()[CONTRACT_TYPE].categories}
        for value, part in fields["by_contract_type"].mapping().items():
            if value not in codes:
                part.fail(f"{value!r} is no contract type; there are {', '.join(codes)}.")
            figures[codes[value]] = _figures(part.fields(("gain", "loss")))
    width = fields["review_width"].number() / 100 if "review_width" in fields else 0.0
    for each in figures.values():
        if width < 0 or not 0 <= each.break_even - width / 2 <= each.break_even + width / 2 <= 1:
            fields["review_width"].fail(
                f"reviews within {50 * width:g} points of {100 * each.break_even:.1f} % would go beyond 0 to 100 %."
            )
    general = figures.pop(0)
    return Line(general, figures, width)


def _figures(fields: Mapping[str, Entry]) -> Figures:
    return Figures(fields["gain"].positive(), fields["loss"].positive())


def _point_scale(entry: Entry) -> PointScale:
    fields = entry.fields(("score", "odds", "double_the_odds"))
    return PointScale(fields["score"].number(), fields["odds"].positive(), fields["double_the_odds"].positive())


def _what_if(entry: Entry) -> WhatIfLimits:
    fields = entry.fields(("amount_percent", "months"))
    percent = fields["amount_percent"].fields(("least", "most"))
    months = fields["months"].fields(("least", "most"))
    limits = WhatIfLimits(
        percent["least"].whole(1, 1000), percent["most"].whole(1, 1000),
        months["least"].whole(1, 600), months["most"].whole(1, 600),
    )  # fmt: skip
    if limits.least_percent > limits.most_percent:
        fields["amount_percent"].fail("the least amount is more than the most.")
    if limits.least_months > limits.most_months:
        fields["months"].fail("the shortest duration is longer than the longest.")
    return limits


def _feature(entry: Entry) -> Feature:
    """The explained feature that an entry is named after."""
    feature = by_name().get(entry.name)
    if feature is None or feature.kind == "id":
        near = difflib.get_close_matches(entry.name, by_name(), n=1)
        entry.fail(f"there is no feature {entry.name!r}" + (f"; is it {near[0]}?" if near else "."))
    return feature
