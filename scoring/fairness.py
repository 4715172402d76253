"""How a model treats groups of people: rates side by side, for those whose outcome is known and for a night.

Rates and no verdict: a line such as four fifths is a rule of thumb of US guidelines on employment, and says nothing
about credit. Who reads the figures adds the intervals, see reporting.wilson and reporting.newcombe.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring import scorecard
from scoring.contract import Applications
from scoring.features import by_name
from scoring.policy import DECISIONS, Policy, contract_types, default_policy
from scoring.preprocess import explained_features, feature_values

SMALLEST_GROUP = 30
# Ages by ten years: the first group also holds those under 20, the last one those over 70.
_AGE_STEP, _YOUNGEST, _OLDEST = 10, 10, 70
_AGES: tuple[int, ...] = (_YOUNGEST, *range(_YOUNGEST + 2 * _AGE_STEP, _OLDEST + 1, _AGE_STEP))

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of people.

    Attributes
    ----------
    kind: "gender" or "age".
    code: of the gender, or the youngest age; None where it is missing.
    upper: the oldest age; None without end.
    """

    kind: str
    code: int | None
    upper: int | None


@dataclass(frozen=True, slots=True)
class GroupRates:
    """A group of applicants of a night; without figures if it has fewer than 30."""

    kind: str
    code: int | None
    upper: int | None
    customers: int
    accepted: int | None
    mean_default_probability: float | None


def known_groups() -> tuple[Group, ...]:
    """All groups there are: genders as the dictionary has them, then ages, each with the missing ones last."""
    genders = range(by_name()["CODE_GENDER"].categories[-1].code + 1)
    ages = [Group("age", age, None if age == _OLDEST else _next(age) - 1) for age in _AGES]
    missing = [Group(kind, None, None) for kind in ("gender", "age")]
    return (*(Group("gender", code, None) for code in genders), missing[0], *ages, missing[1])


def places(values: NDArray[np.float64]) -> tuple[Places, Places]:
    """The places in `known_groups` of each person's gender and age, from explained features of shape (n, k)."""
    names = [feature.name for feature in explained_features()]
    first_age = next(at for at, group in enumerate(known_groups()) if group.kind == "age")
    gender = values[:, names.index("CODE_GENDER")]
    # A code that the dictionary does not have is unknown, as a code of 0.
    known = np.where(gender < first_age - 1, gender, 0)
    of_gender = np.where(np.isnan(gender), first_age - 1, known).astype(np.intp)
    # The files count days before the application.
    years = values[:, names.index("DAYS_BIRTH")] / -365.25
    band = np.maximum(np.searchsorted(_AGES, years, side="right") - 1, 0)
    of_age = first_age + np.where(np.isnan(years), len(_AGES), band).astype(np.intp)
    return of_gender, of_age


def count(places: tuple[Places, Places], weights: NDArray[Any] | None = None) -> NDArray[Any]:
    """How many people each of the known groups has, or the sum of their weights."""
    size = len(known_groups())
    return sum(np.bincount(own, weights, minlength=size) for own in places)  # type: ignore[return-value]


def night_groups(
    customers: NDArray[np.int64], accepted: NDArray[np.int64], default_probability: NDArray[np.float64]
) -> tuple[GroupRates, ...]:
    """The groups of a night that somebody is in, from sums per known group."""
    return tuple(
        GroupRates(
            **asdict(group),
            customers=int(customers[at]),
            accepted=int(accepted[at]) if customers[at] >= SMALLEST_GROUP else None,
            mean_default_probability=(
                float(default_probability[at] / customers[at]) if customers[at] >= SMALLEST_GROUP else None
            ),
        )
        for at, group in enumerate(known_groups())
        if customers[at]
    )


def groups(
    former: Applications, log_odds: NDArray[np.float64], policy: Policy | None = None
) -> list[dict[str, Any]]:
    """Former customers by gender and by age, judged by out-of-fold log-odds, shape (n,).

    Of each group that somebody is in: kind, code and upper as in `Group`; customers; how many of them would be
    accepted (decision "accept") and how many defaulted; mean_score and mean_default_probability;
    repaid_declined, how many of those who repaid would be declined (decision "decline"); and defaulted_accepted,
    how many of those who defaulted would be accepted. Figures are None of fewer than 30 people: of the group, of
    those in it who repaid, or of those in it who defaulted.
    """
    assert former.target is not None
    values, _ = feature_values(former.values)
    own = places(values)
    defaulted = former.target == 1
    probability = scorecard.default_probability(log_odds)
    decided = (policy or default_policy()).decision_index(
        scorecard.score(log_odds), probability, contract_types(former.values)
    )
    decision = np.array(DECISIONS)[decided]
    customers, bad = count(own), count(own, defaulted)
    good = customers - bad
    of_group = {"accepted": decision == "accept", "defaulted": defaulted}
    means = {"mean_score": scorecard.exact_score(log_odds), "mean_default_probability": probability}
    of_outcome = {
        "repaid_declined": (good, ~defaulted & (decision == "decline")),
        "defaulted_accepted": (bad, defaulted & (decision == "accept")),
    }
    counts = {
        **{name: (customers, count(own, is_so)) for name, is_so in of_group.items()},
        **{name: (of_whom, count(own, is_so)) for name, (of_whom, is_so) in of_outcome.items()},
    }
    sums = {name: count(own, number) for name, number in means.items()}
    return [
        {
            **asdict(group),
            "customers": int(customers[at]),
            **{
                name: int(found[at]) if of_whom[at] >= SMALLEST_GROUP else None
                for name, (of_whom, found) in counts.items()
            },
            **{
                name: float(summed[at] / customers[at]) if customers[at] >= SMALLEST_GROUP else None
                for name, summed in sums.items()
            },
        }
        for at, group in enumerate(known_groups())
        if customers[at]
    ]


def _next(age: int) -> int:
    return _AGES[_AGES.index(age) + 1]
