"""What a night writes down about itself is what its rows say, and the views of the portfolio tell it to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sqlalchemy import Engine, text

from db.access import roles
from db.engine import make_engine, transaction
from db.models import feature_bin, run_feature, run_score, run_summary
from db.runs import ledger
from scoring.contract import Applications
from scoring.features import by_name
from scoring.monitoring import stability_index
from scoring.preprocess import feature_values
from scoring.training import Trained
from tests.migrations.nights import Query, checked, load_model, publish_night

# The file's name is no identifier.
MIGRATION = import_module("migrations.versions.0003_dashboards")
PORTFOLIO = (
    "feature_importance",
    "feature_dependence",
    "feature_drift",
    "data_quality",
    "score_distribution",
    "band_distribution",
    "score_drift",
    "gains",
    "calibration",
    "group_fairness",
)


@dataclass(frozen=True)
class Portfolio:
    """Three nights, one of them superseded by the last; incomes have tripled in the last."""

    owner: Engine
    query: Query
    runs: list[int]


@pytest.fixture(scope="module")
def portfolio(
    new_database: Callable[[], Engine],
    reader_passwords: dict[str, str],
    trained: Trained,
    former: Applications,
    new_frame: pl.DataFrame,
) -> Iterator[Portfolio]:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    richer = new_frame.with_columns(pl.col("AMT_INCOME_TOTAL") * 3)
    nights = ((new_frame, 1), (new_frame.head(50), 2), (richer, 2))
    found = [
        publish_night(owner, model_id, trained, checked(frame), date(2026, 3, day))[0] for frame, day in nights
    ]
    reader = make_engine(owner.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST]))
    yield Portfolio(owner, Query(reader), found)
    reader.dispose()


def plain_index(actual: Sequence[float], expected: Sequence[float]) -> float:
    """The stability index as it is written in books; bins that are empty in both count nothing."""
    a, e = (np.maximum(np.asarray(shares, dtype=float), 1e-4) for shares in (actual, expected))
    return float(np.sum((a - e) * np.log(a / e)))


def wilson(hits: int, people: int) -> tuple[float, float]:
    ends = binomtest(int(hits), people).proportion_ci(method="wilson")
    return 100 * ends.low, 100 * ends.high


# Against the rows themselves


def test_sums_per_feature_are_those_of_the_runs_rows(portfolio: Portfolio) -> None:
    rows = Query(portfolio.owner)(
        "SELECT n.*, v.* FROM credit.run_feature n JOIN ("
        "  SELECT e.run_id, e.feature_id, count(*) AS rows,"
        "    count(*) FILTER (WHERE e.raw_value IS NULL AND e.category_code IS NULL) AS rows_missing,"
        "    avg(abs(e.contribution)) AS absolute, avg(e.contribution) AS mean,"
        "    avg(abs(e.score_points)) AS points"
        "  FROM reporting.customer_explanation e GROUP BY 1, 2) v USING (run_id, feature_id)"
    )
    assert len(rows) == 128
    for row in rows:
        assert (row["customers"], row["missing"]) == (row["rows"], row["rows_missing"])
        assert row["mean_absolute_contribution"] == pytest.approx(row["absolute"], abs=1e-7)
        assert row["mean_contribution"] == pytest.approx(row["mean"], abs=1e-7)
        assert row["mean_absolute_points"] == pytest.approx(row["points"], abs=1e-6)


def test_sums_per_category_are_those_of_the_runs_rows(portfolio: Portfolio) -> None:
    rows = Query(portfolio.owner)(
        "SELECT n.*, v.rows, v.mean, v.points, v.deviation FROM credit.run_feature_bin n JOIN ("
        "  SELECT e.run_id, e.feature_id, coalesce(e.category_code, -1) AS bin, count(*) AS rows,"
        "    avg(e.contribution) AS mean, avg(e.score_points) AS points, stddev_pop(e.score_points) AS deviation"
        "  FROM reporting.customer_explanation e WHERE e.kind IN ('category', 'flag')"
        "  GROUP BY 1, 2, 3) v USING (run_id, feature_id, bin)"
    )
    assert len(rows) > 100
    for row in rows:
        assert row["customers"] == row["rows"]
        assert row["mean_contribution"] == pytest.approx(row["mean"], abs=1e-7)
        assert row["mean_points"] == pytest.approx(row["points"], abs=1e-6)
        assert row["points_deviation"] == pytest.approx(row["deviation"], abs=1e-5)


def test_scores_are_counted_by_score_and_band(portfolio: Portfolio) -> None:
    counted = Query(portfolio.owner)(
        "SELECT run_id, score, band, decision, count(*) AS customers FROM credit.score GROUP BY 1, 2, 3, 4"
    )
    kept = Query(portfolio.owner)("SELECT run_id, score, band, decision, customers FROM credit.run_score")
    assert sorted(map(str, counted)) == sorted(map(str, kept))


# The views


def test_drift_is_plain_arithmetic_on_the_bins(portfolio: Portfolio, trained: Trained) -> None:
    rows = portfolio.query("SELECT * FROM reporting.feature_drift WHERE is_current")
    assert len(rows) == 128
    bins = Query(portfolio.owner)(
        "SELECT b.feature_id, b.bin, b.customers AS former, coalesce(d.customers, 0) AS tonight"
        " FROM credit.feature_bin b LEFT JOIN credit.run_feature_bin d"
        " ON d.run_id = :run AND d.feature_id = b.feature_id AND d.bin = b.bin ORDER BY 1, 2",
        run=portfolio.runs[-1],
    )
    for row in rows:
        own = [line for line in bins if line["feature_id"] == row["feature_id"]]
        expected = stability_index([line["tonight"] for line in own], [line["former"] for line in own])
        assert row["psi"] == pytest.approx(expected, abs=1e-9)
        level = "stable" if expected < 0.1 else "watch" if expected < 0.25 else "shifted"
        assert row["level"] == level
        assert level in row["level_en"]
        assert row["level_fr"].split(" ", 1)[1] in {"stable", "à surveiller", "a changé"}
    income = next(row for row in rows if row["feature"] == "AMT_INCOME_TOTAL")
    assert income["level"] == "shifted"
    assert income["level_en"] == "▲ shifted"


def test_drift_over_time_has_a_row_per_night_without_the_superseded(portfolio: Portfolio, trained: Trained) -> None:
    rows = portfolio.query("SELECT * FROM reporting.score_drift ORDER BY as_of")
    assert [row["run_id"] for row in rows] == [portfolio.runs[0], portfolio.runs[2]]
    assert [row["nights_ago"] for row in rows] == [2, 1]
    assert [row["is_current"] for row in rows] == [False, True]
    for row in rows:
        score = Query(portfolio.owner).one(
            "SELECT avg(100 * (1 - default_probability)) AS mean, avg((decision = 'accept')::int) AS accepted,"
            " array_agg(log_odds) AS log_odds FROM credit.score WHERE run_id = :run",
            run=row["run_id"],
        )
        assert row["mean_score"] == pytest.approx(score["mean"])
        assert row["mean_default_percent"] == pytest.approx(100 - score["mean"])
        assert row["approval_rate"] == pytest.approx(100 * float(score["accepted"]))
        reference = trained.out_of_fold_log_odds
        assert row["former_mean_score"] == pytest.approx(np.mean(100 / (1 + np.exp(reference))))
        edges = np.sort(reference)[np.arange(1, 10) * len(reference) // 10 - 1]
        counts = [
            np.bincount(np.searchsorted(edges, each), minlength=10) for each in (score["log_odds"], reference)
        ]
        assert row["psi"] == pytest.approx(stability_index(*counts))


def test_drift_is_told_against_the_nights_before_too(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> None:
    """What is new tonight (incomes have tripled), and not what differs from the training."""
    owner = new_database()
    model_id = load_model(owner, trained, former)
    richer = new_frame.with_columns(pl.col("AMT_INCOME_TOTAL") * 3)
    runs = [publish_night(owner, model_id, trained, checked(richer), date(2026, 4, 1))[0]]
    for day in range(2, 10):
        frame = richer if day == 9 else new_frame.slice(20 * day, 150)
        runs.append(publish_night(owner, model_id, trained, checked(frame), date(2026, 4, day))[0])
    query = Query(owner)
    counts = {
        run: {
            (row["feature_id"], row["bin"]): row["share"]
            for row in query(
                "SELECT b.feature_id, b.bin, b.customers::float8 / f.customers AS share"
                " FROM credit.run_feature_bin b JOIN credit.run_feature f USING (run_id, feature_id)"
                " WHERE run_id = :run",
                run=run,
            )
        }
        for run in runs
    }
    # The first of the nights is the eighth before, and not looked at.
    before = runs[1:-1]
    assert len(before) == 7
    told = query("SELECT * FROM reporting.feature_drift WHERE is_current")
    assert len(told) == 128
    for row in told:
        bins = sorted({bin for run in counts.values() for feature, bin in run if feature == row["feature_id"]})
        own = [counts[runs[-1]].get((row["feature_id"], bin), 0) for bin in bins]
        mean = [np.mean([counts[run].get((row["feature_id"], bin), 0) for run in before]) for bin in bins]
        assert row["recent_psi"] == pytest.approx(plain_index(own, mean), abs=1e-9), row["feature"]
    income = next(row for row in told if row["feature"] == "AMT_INCOME_TOTAL")
    assert income["recent_psi"] > 0.25
    others = query("SELECT DISTINCT recent_psi FROM reporting.feature_drift WHERE NOT is_current")
    assert others == [{"recent_psi": None}]

    nights = query("SELECT run_id, recent_psi FROM reporting.score_drift ORDER BY as_of")
    assert [row["run_id"] for row in nights] == runs
    assert nights[0]["recent_psi"] is None
    scores = {run: np.zeros(101) for run in runs}
    for row in query("SELECT run_id, score, customers FROM credit.run_score"):
        scores[row["run_id"]][row["score"]] = row["customers"]
    shares = [scores[run] / scores[run].sum() for run in runs]
    for place in range(1, len(runs)):
        mean = np.mean(shares[max(0, place - 7) : place], axis=0)
        tenth = np.maximum(np.ceil(10 * np.cumsum(mean) - 1e-9), 1).astype(int)
        sums = [np.bincount(tenth, weights, minlength=11)[1:] for weights in (shares[place], mean)]
        assert nights[place]["recent_psi"] == pytest.approx(plain_index(*sums), abs=1e-6)

    # Another model's scores and bins are no measure.
    with owner.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO credit.model_version SELECT (jsonb_populate_record(m, jsonb_build_object("
                "'model_id', 99, 'stage', 'retired', 'artefact_sha256', repeat('9', 64)))).*"
                " FROM credit.model_version AS m"
            )
        )
        connection.execute(
            text("UPDATE credit.scoring_run SET model_id = 99 WHERE run_id < :run"), {"run": runs[-1]}
        )
        for view in ("score_drift", "feature_drift"):
            found = connection.scalars(text(f"SELECT recent_psi FROM reporting.{view} WHERE nights_ago = 1")).all()
            assert set(found) == {None}, view
        connection.rollback()


def test_trends_end_with_what_readers_see(portfolio: Portfolio) -> None:
    """After readers were moved back, no chart says "tonight" of a night that no customer's file shows."""
    first, other, last = portfolio.runs
    for seen, shown in ((first, [first]), (other, [first, other]), (last, [first, last])):
        with transaction(portfolio.owner) as connection:
            connection.execute(text("UPDATE credit.published_run SET run_id = :run"), {"run": seen})
        for view in ("band_distribution", "score_drift", "feature_drift"):
            rows = portfolio.query(f"SELECT DISTINCT run_id, nights_ago, is_current FROM reporting.{view}")
            assert sorted(row["run_id"] for row in rows) == sorted(shown)
            assert [row["run_id"] for row in rows if row["nights_ago"] == 1] == [seen]
            assert [row["run_id"] for row in rows if row["is_current"]] == [seen]


def test_only_the_last_30_nights_are_told(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications
) -> None:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    run_id, _ = publish_night(owner, model_id, trained, new.take(np.arange(4)), date(2026, 1, 1))
    with transaction(owner) as connection:
        connection.execute(
            text(
                "INSERT INTO credit.scoring_run (as_of, model_id, source_name, source_sha256, status, published_at,"
                " retired_at, policy_id)"
                " SELECT date '2025-12-31' - n, :model, 'x', 'x', 'published', now(), now(), 1"
                " FROM generate_series(1, 40) AS n"
            ),
            {"model": model_id},
        )
        for table in (run_summary, run_score):
            columns = [column.name for column in table.columns if column.name != "run_id"]
            connection.execute(
                text(
                    f"INSERT INTO credit.{table.name} (run_id, {', '.join(columns)})"
                    f" SELECT r.run_id, {', '.join(f't.{name}' for name in columns)}"
                    f" FROM credit.{table.name} AS t CROSS JOIN credit.scoring_run AS r"
                    f" WHERE t.run_id = {run_id} AND r.run_id <> {run_id}"
                )
            )
    query = Query(owner)
    assert query.one("SELECT count(*) AS n, max(nights_ago) AS last FROM reporting.score_drift") == {
        "n": 30,
        "last": 30,
    }
    nights = query.one("SELECT max(nights_ago) AS all FROM reporting.band_distribution")
    assert nights["all"] == 41


def test_dependence_tells_bins_in_words_in_the_order_people_see(portfolio: Portfolio, former: Applications) -> None:
    def of(feature: str) -> list[dict[str, object]]:
        return portfolio.query(
            "SELECT * FROM reporting.feature_dependence WHERE feature = :feature ORDER BY bin", feature=feature
        )

    age = of("DAYS_BIRTH")
    assert [row["bin"] for row in age] == list(range(1, 11))
    assert str(age[0]["bin_en"]).startswith("up to ")
    assert str(age[0]["bin_fr"]).startswith("jusqu'à ")
    assert str(age[-1]["bin_en"]).startswith("from ")
    years = [float(str(row["bin_en"]).removesuffix(" years").split(" ")[-1]) for row in age]
    assert years == sorted(years)
    assert years[0] < 35 < 50 < years[-1]
    assert sum(float(str(row["share"])) for row in age) == pytest.approx(100)
    assert all(float(str(row["former_share"])) == pytest.approx(10, abs=0.6) for row in age)

    children = of("CNT_CHILDREN")
    assert [row["bin_en"] for row in children][:2] == ["0", "1"]
    score = of("EXT_SOURCE_2")
    assert score[-1]["bin_en"] == "not given" or score[-1]["bin"] == 10
    present = [float(str(row["mean_points"])) for row in score if row["bin"] != 1000]
    assert present[0] < 0 < present[-1]

    gender = of("CODE_GENDER")
    labels = {category.code: category.label_fr for category in by_name()["CODE_GENDER"].categories}
    assert [row["bin_fr"] for row in gender] == [labels[int(str(row["bin"]))] for row in gender]


def test_bins_of_a_feature_have_different_labels(portfolio: Portfolio) -> None:
    twice = portfolio.query(
        "SELECT feature, bin_en, count(*) FROM reporting.feature_dependence GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert twice == []


def test_importance_says_what_higher_values_do(portfolio: Portfolio) -> None:
    rows = {row["feature"]: row for row in portfolio.query("SELECT * FROM reporting.feature_importance")}
    assert rows["EXT_SOURCE_2"]["direction_en"] == "▲ a higher value raises the score"
    assert rows["EXT_SOURCE_2"]["correlation"] > 0.5
    # Older people have scores that are higher: in the file their days are lower.
    assert rows["DAYS_BIRTH"]["correlation"] > 0
    assert rows["CODE_GENDER"]["direction_fr"] == "dépend de la catégorie"


def test_importance_is_ranked_by_what_the_chart_shows(portfolio: Portfolio) -> None:
    rows = portfolio.query("SELECT * FROM reporting.feature_importance ORDER BY rank, feature_id")
    points = [row["mean_absolute_points"] for row in rows]
    assert points == sorted(points, reverse=True)
    assert [row["share"] for row in rows] == pytest.approx([100 * each / sum(points) for each in points])
    # The other measure would give another order.
    contributions = [row["mean_absolute_contribution"] for row in rows]
    assert contributions != sorted(contributions, reverse=True)


def test_gains_and_calibration_are_the_published_models(portfolio: Portfolio, former: Applications) -> None:
    assert former.target is not None
    gains = portfolio.query("SELECT * FROM reporting.gains ORDER BY decile")
    assert [round(row["customers_share"]) for row in gains] == list(range(10, 101, 10))
    assert sum(row["defaulted"] for row in gains) == former.target.sum()
    assert gains[-1]["cumulative_defaults_share"] == pytest.approx(100)
    assert gains[-1]["cumulative_lift"] == pytest.approx(1)
    shares = [row["cumulative_defaults_share"] for row in gains]
    assert shares == sorted(shares)
    published = portfolio.query("SELECT DISTINCT is_published FROM reporting.calibration")
    assert published == [{"is_published": True}]


def test_fairness_tells_groups_in_words_and_rates_with_their_intervals(
    portfolio: Portfolio, trained: Trained, former: Applications
) -> None:
    rows = portfolio.query("SELECT * FROM reporting.group_fairness ORDER BY ord")
    by_kind = {kind: [row for row in rows if row["group_kind_en"] == kind] for kind in ("Gender", "Age")}
    assert {row["group_en"] for row in by_kind["Gender"]} >= {"Woman", "Man"}
    assert {row["group_fr"] for row in by_kind["Gender"]} >= {"Femme", "Homme"}
    assert [row["group_kind_fr"] for row in rows] == ["Genre"] * len(by_kind["Gender"]) + ["Âge"] * len(
        by_kind["Age"]
    )
    ages = [row["group_en"] for row in by_kind["Age"]]
    assert ages[:2] == ["under 30", "30–39"]
    assert by_kind["Age"][1]["group_fr"] == "30–39 ans"
    values, _ = feature_values(former.values)
    women = values[:, 1] == 1
    accepted = 100 / (1 + np.exp(trained.out_of_fold_log_odds)) >= 84.5
    defaulted = former.target == 1
    row = next(row for row in by_kind["Gender"] if row["group_en"] == "Woman")
    assert row["customers"] == women.sum()
    shares = {
        "approval_rate": accepted[women],
        "default_rate": defaulted[women],
        "repaid_declined_rate": 100 / (1 + np.exp(trained.out_of_fold_log_odds[women & ~defaulted])) < 74.5,
        "defaulted_accepted_rate": accepted[women & defaulted],
    }
    for name, told in shares.items():
        assert row[name] == pytest.approx(100 * told.mean()), name
        assert (row[f"{name}_lower"], row[f"{name}_upper"]) == pytest.approx(wilson(told.sum(), len(told))), name
    assert row["approval_en"] == (
        f"{row['approval_rate']:.1f} ({row['approval_rate_lower']:.1f} to {row['approval_rate_upper']:.1f})"
    )
    assert row["approval_fr"] == row["approval_en"].replace(".", ",").replace("to", "à")
    probability = 1 / (1 + np.exp(-trained.out_of_fold_log_odds[women]))
    assert row["mean_default_percent"] == pytest.approx(100 * probability.mean())
    for row in rows:
        small = row["customers"] < 30
        assert (row["approval_rate"] is None) == (row["mean_default_percent"] is None) == small
        assert ("fewer than 30" in row["note_en"]) == ("moins de 30" in row["note_fr"]) == small
        assert (row["approval_en"] == "–") == small


def test_fairness_compares_with_the_largest_group_and_gives_no_verdict(portfolio: Portfolio) -> None:
    rows = portfolio.query("SELECT * FROM reporting.group_fairness WHERE approval_rate IS NOT NULL ORDER BY ord")
    assert not any("fifth" in str(value) for row in rows for value in row.values())
    for kind in ("Gender", "Age"):
        own = [row for row in rows if row["group_kind_en"] == kind]
        largest = max(own, key=lambda row: row["customers"])
        assert largest["approval_difference"] is None and largest["difference_fr"] == "–"
        for row in own:
            if row is largest:
                continue
            difference = row["approval_difference"]
            assert difference == pytest.approx(row["approval_rate"] - largest["approval_rate"])
            (own_down, own_up), (down, up) = (
                (
                    each["approval_rate"] - each["approval_rate_lower"],
                    each["approval_rate_upper"] - each["approval_rate"],
                )
                for each in (row, largest)
            )
            found = (row["approval_difference_lower"], row["approval_difference_upper"])
            assert found == pytest.approx(
                (difference - np.hypot(own_down, up), difference + np.hypot(own_up, down))
            )
            if abs(difference) > 0.05:
                assert row["difference_en"].startswith("+" if difference > 0 else "\u2212")


def test_intervals_are_those_of_the_papers(portfolio: Portfolio) -> None:
    # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 10.
    for hits, ends in (
        ((56, 70, 48, 80), (5.24, 33.39)),
        ((9, 10, 3, 10), (17.05, 80.90)),
        ((0, 10, 0, 20), (-16.11, 27.75)),
    ):
        asked = dict(zip("abcd", hits, strict=True))
        found = portfolio.query.one("SELECT reporting.newcombe(:a, :b, :c, :d) AS ends", **asked)
        assert found["ends"] == pytest.approx(ends, abs=0.006)
    for share, people in ((0, 30), (1, 30), (30, 30), (17, 1000)):
        row = portfolio.query.one("SELECT reporting.wilson(:share, :people) AS e", share=share, people=people)
        assert row["e"] == pytest.approx(wilson(share, people), abs=1e-9)
    nobody = portfolio.query.one("SELECT reporting.wilson(0, 0) AS w, reporting.newcombe(1, 2, 0, 0) AS n")
    assert nobody == {"w": None, "n": None}


def test_fairness_of_the_night_is_that_of_its_scores(portfolio: Portfolio) -> None:
    told = portfolio.query("SELECT * FROM reporting.group_fairness WHERE tonight_customers IS NOT NULL")
    counted = {
        row["gender_en"]: row
        for row in portfolio.query(
            "SELECT gender_en, count(*) AS n, 100.0 * avg((decision = 'accept')::int) AS accepted,"
            " avg(default_percent) AS risk FROM reporting.customer GROUP BY 1"
        )
    }
    genders = {row["group_en"]: row for row in told if row["group_kind_en"] == "Gender"}
    assert genders.keys() == counted.keys() >= {"Woman", "Man"}
    for name, row in genders.items():
        assert row["tonight_customers"] == counted[name]["n"]
        if row["tonight_customers"] >= 30:
            assert row["tonight_approval_rate"] == pytest.approx(float(counted[name]["accepted"]))
            assert row["tonight_mean_default_percent"] == pytest.approx(counted[name]["risk"])
            assert row["tonight_approval_rate_lower"] < row["tonight_approval_rate"]
    total = sum(row["tonight_customers"] for row in told if row["group_kind_en"] == "Age")
    assert total == portfolio.query.one("SELECT customers FROM reporting.published_run")["customers"]


def test_fairness_of_models_and_runs_of_before_is_empty_and_no_error(portfolio: Portfolio) -> None:
    with portfolio.owner.connect() as connection:
        connection.execute(text("UPDATE credit.run_summary SET groups = NULL"))
        connection.execute(
            text(
                "UPDATE credit.model_version SET metrics = jsonb_set(metrics, '{groups}',"
                """ '[{"kind": "gender", "code": 1, "upper": null, "customers": 200, "approval_rate": 0.75,"""
                """ "default_rate": 0.1, "mean_score": 90, "ratio_to_best": 1}]')"""
            )
        )
        (row,) = connection.execute(text("SELECT * FROM reporting.group_fairness")).mappings().all()
        assert (row["approval_rate"], row["default_rate"], row["mean_score"]) == (75, 10, 90)
        assert row["approval_rate_lower"] < 75 < row["approval_rate_upper"]
        for name in ("mean_default_percent", "repaid_declined_rate", "tonight_customers", "tonight_approval_rate"):
            assert row[name] is None
        assert (row["repaid_declined_en"], row["tonight_approval_fr"], row["note_en"]) == ("–", "–", "")
        connection.execute(text("UPDATE credit.model_version SET metrics = metrics - 'groups'"))
        assert connection.execute(text("SELECT * FROM reporting.group_fairness")).all() == []
        connection.rollback()


def test_portfolio_views_read_no_long_table(portfolio: Portfolio) -> None:
    with portfolio.owner.connect() as connection:
        for view in PORTFOLIO:
            plan = "\n".join(connection.scalars(text(f"EXPLAIN SELECT * FROM reporting.{view}")))
            assert "shap_value" not in plan
            assert "former_customer" not in plan
            assert "score_r0" not in plan


# Runs from before


def test_what_earlier_runs_did_not_write_down_is_counted_from_what_is_kept(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications
) -> None:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    for day in (1, 2, 3):
        publish_night(owner, model_id, trained, new, date(2026, 5, day))
    ledger.retire(owner, retained_runs=2)
    query = Query(owner)
    asked = {
        "run_summary": "run_id, customers, mean_score, mean_default_probability, approval_rate",
        "run_score": "run_id, score, band, decision, customers",
        "run_feature": "run_id, feature_id, customers, missing, unknown, mean_absolute_contribution,"
        " mean_contribution, mean_absolute_points",
    }
    ordered = {name: f"SELECT {columns} FROM credit.{name} ORDER BY 1, 2" for name, columns in asked.items()}
    written = {name: query(statement) for name, statement in ordered.items()}
    metrics = query.one("SELECT metrics FROM credit.model_version")["metrics"]
    with transaction(owner) as connection:
        for table in (run_summary, run_score, run_feature, feature_bin):
            connection.execute(table.delete())
        connection.execute(text("UPDATE credit.model_version SET metrics = metrics - 'scores' - 'mean_score'"))
        for statement in (
            MIGRATION.RECOUNT_SCORES,
            MIGRATION.RECOUNT_SUMMARIES,
            MIGRATION.RECOUNT_FEATURES,
            MIGRATION.RECOUNT_FORMER,
        ):
            connection.exec_driver_sql(statement)
    counted = {name: query(statement) for name, statement in ordered.items()}
    current = max(row["run_id"] for row in written["run_feature"])
    written["run_feature"] = [row for row in written["run_feature"] if row["run_id"] == current]
    for name, rows in counted.items():
        assert len(rows) == len(written[name])
        for row, expected in zip(rows, written[name], strict=True):
            numbers = {key: value for key, value in row.items() if not isinstance(value, str)}
            assert numbers == pytest.approx({key: expected[key] for key in numbers}, rel=1e-6, abs=1e-6)
    again = query.one("SELECT metrics FROM credit.model_version")["metrics"]
    assert again["scores"] == metrics["scores"]
    assert again["mean_score"] == pytest.approx(metrics["mean_score"], abs=1e-4)
