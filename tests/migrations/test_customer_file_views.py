"""The views of the customer file: they add up, speak both languages, and speak of one customer only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.access import roles
from db.engine import make_engine
from db.people import copy
from db.runs import ledger
from scoring.contract import Applications
from scoring.feature_groups import feature_groups
from scoring.features import by_name
from scoring.preprocess import explained_features, feature_values
from scoring.reason_catalogue import reason_catalogue
from scoring.training import Trained
from scoring.what_if.search import MOVING
from tests.migrations.nights import Query, checked, load_model, publish_night, put_strict_policy_in_force

GUARDED = ("score", "card", "reason", "bar", "waterfall", "timeline", "mover")
UNKNOWN_ID = 999_999
FIRST_ID = 500_001


@dataclass(frozen=True)
class File:
    """Three published nights, the first of them retired; between the last two some values changed."""

    owner: Engine
    query: Query
    runs: list[int]
    # Some of those who are in every night; the first customer is in the second night only.
    customers: list[int]


@pytest.fixture(scope="module")
def file(
    new_database: Callable[[], Engine],
    reader_passwords: dict[str, str],
    trained: Trained,
    former: Applications,
    new_frame: pl.DataFrame,
) -> Iterator[File]:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    decide = put_strict_policy_in_force(owner)
    later = new_frame.filter(pl.col("SK_ID_CURR") != FIRST_ID)
    found = [
        publish_night(owner, model_id, trained, checked(frame), day, decide)[0]
        for frame, day in (
            (new_frame, date(2026, 3, 1)),
            (later, date(2026, 3, 2)),
            (changed(new_frame), date(2026, 3, 3)),
        )
    ]
    ledger.retire(owner, retained_runs=2)
    url = owner.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST])
    reader = make_engine(url)
    yield File(owner, Query(reader), found, later["SK_ID_CURR"][::25].to_list())
    reader.dispose()


def changed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("AMT_CREDIT") * 1.3, pl.lit(0.5).alias("EXT_SOURCE_2"))


def lines(query: Query, view: str, customer_id: int) -> list[dict[str, Any]]:
    order = {"timeline": "as_of", "score": "1", "feature": "rank"}.get(view, "ord")
    return query(
        f"SELECT * FROM reporting.customer_{view} WHERE customer_id = :id ORDER BY {order}", id=customer_id
    )


def explanation(query: Query, customer_id: int) -> list[dict[str, Any]]:
    return query(
        "SELECT * FROM reporting.customer_explanation WHERE customer_id = :id ORDER BY rank", id=customer_id
    )


# One customer, or none


@pytest.mark.parametrize("view", GUARDED)
def test_a_view_of_one_customer_refuses_everybody_and_two_customers_at_once(file: File, view: str) -> None:
    two = f"customer_id IN ({file.customers[0]}, {file.customers[1]})"
    for condition in ("true", two, "customer_id > 0"):
        started = time.perf_counter()
        with pytest.raises(DBAPIError, match=r"Choose exactly one customer\."):
            file.query(f"SELECT * FROM reporting.customer_{view} WHERE {condition}")
        assert time.perf_counter() - started < 0.5


def test_the_refusal_says_what_to_ask_for_several_customers(file: File) -> None:
    with pytest.raises(DBAPIError, match="HINT:  For several at a time ask score_reason"):
        file.query("SELECT * FROM reporting.customer_reason")
    two = file.customers[:2]
    reasons = file.query("SELECT * FROM reporting.customer_reasons(:ids) ORDER BY customer_id, ord", ids=two)
    assert reasons == [row for customer_id in two for row in lines(file.query, "reason", customer_id)]


@pytest.mark.parametrize("view", GUARDED)
def test_one_customer_after_another_is_answered_and_an_unknown_one_has_no_rows(file: File, view: str) -> None:
    with file.query.engine.connect() as connection:
        for customer_id in (*file.customers[:3], UNKNOWN_ID, file.customers[0]):
            rows = connection.execute(
                text(f"SELECT * FROM reporting.customer_{view} WHERE customer_id={customer_id}")
            )
            assert bool(rows.all()) == (customer_id != UNKNOWN_ID)


@pytest.mark.parametrize("view", GUARDED)
def test_the_way_that_dashboards_ask_is_answered_too(file: File, view: str) -> None:
    customer_id = file.customers[0]
    order = {"timeline": "as_of", "score": "customer_id"}.get(view, "ord")
    grouped = file.query(
        f"SELECT {order} AS place, count(*) AS rows FROM reporting.customer_{view}"
        f" WHERE customer_id IN ({customer_id}) GROUP BY {order} ORDER BY rows DESC LIMIT 1000"
    )
    wrapped = file.query(
        f"SELECT * FROM (SELECT * FROM reporting.customer_{view}) AS virtual WHERE customer_id = {customer_id}"
    )
    assert sum(row["rows"] for row in grouped) == len(wrapped) == len(lines(file.query, view, customer_id)) > 0


@pytest.mark.parametrize("view", set(GUARDED) - {"timeline"})
def test_only_the_customers_rows_of_the_partitions_concerned_are_read(file: File, view: str) -> None:
    customer_id = file.customers[3]
    statement = f"SELECT * FROM reporting.customer_{view} WHERE customer_id = {customer_id}"
    with file.owner.connect() as connection:
        # So few rows would be read as a whole; at full size they are not.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.scalar(text(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"))
    features = len(explained_features())
    current = f"_r{file.runs[-1]:08d}"
    previous = f"_r{file.runs[-2]:08d}"
    for node in _scans(json.loads(plan) if isinstance(plan, str) else plan):
        name, read = node["Relation Name"], node["Actual Rows"] * node["Actual Loops"]
        if not node["Actual Loops"] or not re.match("(score|shap_value|new_customer)_r", name):
            continue
        assert name.endswith(current) or (view in {"score", "card", "mover"} and name.endswith(previous)), name
        assert read + node.get("Rows Removed by Filter", 0) <= 2 * features, node


# Score and card


def test_the_score_says_where_it_stands(file: File, trained: Trained) -> None:
    (row,) = lines(file.query, "score", file.customers[0])
    customer = file.query.one("SELECT * FROM reporting.customer WHERE customer_id = :id", id=file.customers[0])
    for name in ("score", "score_exact", "percentile", "previous_score", "band_label_fr", "decision_label_en"):
        assert row[name] == customer[name], name
    mean = float(np.mean(100 / (1 + np.exp(trained.out_of_fold_log_odds))))
    assert row["former_mean_score"] == pytest.approx(mean, abs=1e-9)
    assert row["difference_to_former_mean"] == pytest.approx(row["score_exact"] - mean, abs=1e-9)
    assert (row["accept_threshold"], row["review_threshold"]) == (93, 91)
    assert row["default_percent"] == pytest.approx(100 - row["score_exact"])
    assert (row["as_of"], row["previous_as_of"]) == (date(2026, 3, 3), date(2026, 3, 2))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_cards_facts_are_what_the_dictionary_says_of_the_application(
    file: File, new_frame: pl.DataFrame, language: str
) -> None:
    applications = checked(changed(new_frame))
    values, _ = feature_values(applications.values)
    names = [feature.name for feature in explained_features()]
    shown = ("CODE_GENDER", "DAYS_BIRTH", "OCCUPATION_TYPE", "AMT_INCOME_TOTAL", "AMT_CREDIT", "CNT_CHILDREN")
    for customer_id in file.customers:
        card = {
            row[f"label_{language}"]: row[f"value_{language}"] for row in lines(file.query, "card", customer_id)
        }
        row = values[list(applications.customer_id).index(customer_id)]
        for name in shown:
            feature = by_name()[name]
            label = feature.label_en if language == "en" else feature.label_fr
            expected = feature.display_text(row[names.index(name)], language)  # type: ignore[arg-type]
            assert card[label].replace("\xa0", " ") == expected.replace("\xa0", " ")
        job = by_name()["DAYS_EMPLOYED"]
        if np.isnan(row[names.index("DAYS_EMPLOYED")]):
            label = job.label_en if language == "en" else job.label_fr
            assert card[label] == {"en": "no current job", "fr": "sans emploi actuel"}[language]


def test_the_card_begins_with_score_and_decision_in_words(file: File) -> None:
    for customer_id in file.customers:
        (score,) = lines(file.query, "score", customer_id)
        card = lines(file.query, "card", customer_id)
        assert len(card) == 24
        assert [row["ord"] for row in card] == sorted({row["ord"] for row in card})
        assert f"<b>{score['score']}</b> / 100" in card[0]["value_en"] == card[0]["value_en"]
        assert score["decision_label_en"] in card[1]["value_en"]
        assert score["decision_label_fr"] in card[1]["value_fr"]
        change = score["score_change"]
        said = {1: "▲ +", 0: "unchanged since 2 Mar 2026", -1: "▼ −"}[int(np.sign(change))]
        assert card[5]["value_en"].startswith(said)
        assert all(row["value_en"] and row["value_fr"] and row["note_en"] and row["note_fr"] for row in card)


def test_the_scale_shows_the_score_among_the_bands_and_their_limits(file: File) -> None:
    bands = file.query("SELECT * FROM reporting.score_band ORDER BY minimum_score")
    for customer_id in file.customers:
        (score,) = lines(file.query, "score", customer_id)
        for language in ("en", "fr"):
            html = score[f"scale_html_{language}"]
            assert f"margin-left:{score['score']}%" in html
            words = re.sub("<[^>]+>", " ", html).split()
            letters, limits = [band["band"] for band in bands], [str(band["minimum_score"]) for band in bands]
            assert words[:4] == [str(score["score"]), "/", "100", "▼"]
            assert words[4 : 4 + 2 * len(bands) + 1] == [*letters, *limits, "100"]
            ending = html.rpartition('<span style="display:block;padding-top:6px">')[2]
            assert score[f"decision_label_{language}"] in ending
            assert score[f"band_label_{language}"].lower() in ending


def test_a_newcomer_has_no_change_and_no_movers(file: File) -> None:
    card = lines(file.query, "card", FIRST_ID)
    assert (card[5]["value_en"], card[5]["value_fr"]) == ("no score before", "pas de score avant")
    (line,) = lines(file.query, "mover", FIRST_ID)
    assert (line["kind"], line["points_change"], line["points_en"]) == ("none", 0, "")
    assert line["feature_label_en"] == "This is the first score: there is none before"
    assert line["feature_label_fr"] == "C'est le premier score\u00a0: il n'y en a pas avant"
    assert [row["as_of"].day for row in lines(file.query, "timeline", FIRST_ID)] == [1, 3]


# Reasons, bars, waterfall


def groups(query: Query, customer_id: int) -> list[dict[str, Any]]:
    """What the features of each group add up to, by the customer's explanation, the strongest group first."""
    rules = query("SELECT feature FROM reporting.policy_feature WHERE is_current AND may_be_told")
    tellable = {rule["feature"] for rule in rules}
    found: dict[str, dict[str, Any]] = {}
    for row in explanation(query, customer_id):
        group = found.setdefault(row["feature_group"], {"points": 0.0, "rows": []})
        group["points"] += row["score_points"]
        group["rows"].append(row)
    for name, group in found.items():
        own = [row for row in group["rows"] if row["score_points"] * group["points"] > 0]
        told = [row for row in group["rows"] if row["contribution"] and row["feature"] in tellable]
        own = [row for row in own if row in told] or told or own
        group |= {"may_be_told": bool(told)}
        group |= {"name": name, "counted": sum(row["contribution"] != 0 for row in group["rows"])}
        group["leader"] = max(own, key=lambda row: abs(row["score_points"]), default=None)
    return sorted(found.values(), key=lambda group: -abs(group["points"]))


def test_groups_add_up_to_the_score_and_each_speaks_through_one_that_pulls_its_way(file: File) -> None:
    several = 0
    for customer_id in file.customers:
        rows = file.query(
            "SELECT * FROM reporting.explanation_group WHERE customer_id = :id ORDER BY rank", id=customer_id
        )
        (score,) = lines(file.query, "score", customer_id)
        total = score["base_score"] + sum(row["score_points"] for row in rows)
        assert total == pytest.approx(score["score_exact"], abs=1e-5)
        assert len({row["feature_group"] for row in rows}) == len(rows) == len(feature_groups()) - 1
        expected = {group["name"]: group for group in groups(file.query, customer_id)}
        for row in rows:
            group = expected[row["feature_group"]]
            assert row["score_points"] == pytest.approx(group["points"], abs=1e-9)
            assert row["features"] == group["counted"]
            if group["leader"]:
                assert row["feature"] == group["leader"]["feature"]
            several += row["features"] > 1
        sizes = [abs(row["score_points"]) for row in rows]
        assert sizes == pytest.approx(sorted(sizes, reverse=True))
    assert several


def test_bars_are_the_strongest_groups_with_the_customers_values(file: File) -> None:
    for customer_id in file.customers:
        bars = lines(file.query, "bar", customer_id)
        told = [group for group in groups(file.query, customer_id) if group["may_be_told"]]
        expected = [group for group in told[:15] if group["points"]]
        assert [row["feature_group"] for row in bars] == [group["name"] for group in expected]
        for bar, group in zip(bars, expected, strict=True):
            leader = group["leader"]
            assert bar["feature"] == leader["feature"]
            assert bar["score_points"] == pytest.approx(group["points"], abs=1e-9)
            english, french = (
                f"{leader['label_en']} = {leader['value_en']}",
                f"{leader['label_fr']} = {leader['value_fr']}",
            )
            if group["counted"] > 1:
                english, french = (
                    f"{leader['group_label_en']} ({english})",
                    f"{leader['group_label_fr']} ({french})",
                )
            assert (bar["feature_label_en"], bar["feature_label_fr"]) == (english, french)
            raises = bar["score_points"] > 0
            assert bar["direction_en"] == ("Raises the score" if raises else "Lowers the score")
            assert bar["direction_fr"] == ("Augmente le score" if raises else "Diminue le score")
            points = f"{abs(bar['score_points']):.1f}"
            if points != "0.0":
                assert bar["points_en"] == ("▲ +" if raises else "▼ −") + points
                assert bar["points_fr"] == bar["points_en"].replace(".", ",")


def test_a_waterfall_leads_from_the_starting_point_to_the_exact_score(file: File) -> None:
    for customer_id in file.customers:
        steps = lines(file.query, "waterfall", customer_id)
        (score,) = lines(file.query, "score", customer_id)
        assert sum(row["points"] for row in steps) == pytest.approx(score["score_exact"], abs=1e-5)
        assert steps[0]["points"] == pytest.approx(score["base_score"])
        assert (steps[0]["step_en"], steps[0]["step_fr"]) == ("Starting point", "Point de départ")
        assert (steps[-1]["step_en"], steps[-1]["step_fr"]) == ("All other features", "Toutes les autres")
        assert len(steps) == 12
        for language in ("en", "fr"):
            short = [row[f"short_{language}"] for row in steps]
            assert short == sorted(short)
            assert [one.lstrip("\u200b") for one in short] == [
                row[f"step_{language}"].partition(" = ")[0] for row in steps
            ]
            order = file.query(
                f"SELECT ord FROM reporting.customer_waterfall WHERE customer_id = {customer_id}"
                f" ORDER BY short_{language}"
            )
            assert [row["ord"] for row in order] == sorted(row["ord"] for row in steps)
        bars = {row["ord"]: row["score_points"] for row in lines(file.query, "bar", customer_id)}
        assert [row["points"] for row in steps[1:-1]] == pytest.approx([bars[place] for place in range(1, 11)])


def test_reasons_for_the_decision_come_first_as_they_are_recorded(file: File) -> None:
    recorded = 0
    for customer_id in file.customers:
        rows = [row for row in lines(file.query, "reason", customer_id) if row["part"] == "decision"]
        records = file.query(
            "SELECT * FROM reporting.decision_reason WHERE customer_id = :id AND is_current ORDER BY place",
            id=customer_id,
        )
        (score,) = lines(file.query, "score", customer_id)
        assert bool(records) == (score["decision"] != "accept")
        assert [row["ord"] for row in rows] == [record["place"] for record in records]
        for row, record in zip(rows, records, strict=True):
            for language in ("en", "fr"):
                assert row[f"reason_{language}"] == record[f"advisor_{language}"]
                assert row[f"action_{language}"] == record[f"action_{language}"]
                assert record[f"advisor_{language}"] in row[f"reason_html_{language}"]
            assert (row["reason_code"], row["score_points"]) == (record["reason_code"], record["score_points"])
            assert row["direction"] == (None if record["feature"] is None else "lowers")
        recorded += len(rows)
    assert recorded


ADVISED = (
    "SELECT customer_id, reason_code, action_en, action_fr FROM reporting.decision_reason"
    " WHERE is_current AND reason_code IN ('R01', 'R02', 'R03') ORDER BY 1, 2"
)


def test_where_nothing_gets_a_yes_nobody_is_advised_to_ask_for_less(file: File) -> None:
    assert file.query("SELECT reporting.moved_by_terms() AS names") == [{"names": [*MOVING]}]
    before = file.query(ADVISED)
    assert {row["reason_code"] for row in before} >= {"R01", "R02"}
    last = file.runs[-1]
    with file.owner.begin() as connection:
        connection.execute(text("CREATE TABLE credit.searched AS SELECT * FROM credit.what_if_summary"))
        connection.execute(
            text(
                "UPDATE credit.what_if_summary SET outcome = 'none', duration = NULL, amount = NULL,"
                f" annuity = NULL, default_probability = NULL, score = NULL WHERE run_id = {last}"
            )
        )
    try:
        found = file.query(ADVISED)
        for row in found:
            void = row["reason_code"] != "R01"
            assert [row["action_en"], row["action_fr"]].count(None) == (2 if void else 0)
        number = next(row["customer_id"] for row in before if row["reason_code"] == "R02")
        held = copy.everything(file.owner, number)["reasons"]
        assert {row["action_en"] for row in held if row["run_id"] == last and row["code"] == "R02"} == {None}
    finally:
        with file.owner.begin() as connection:
            connection.execute(text(f"DELETE FROM credit.what_if_summary WHERE run_id = {last}"))
            kept = f"SELECT * FROM credit.searched WHERE run_id = {last}"
            connection.execute(text(f"INSERT INTO credit.what_if_summary {kept}"))
            connection.execute(text("DROP TABLE credit.searched"))
    catalogue = {reason.code: reason for reason in reason_catalogue().reasons}
    for row in file.query(ADVISED):
        outcome = file.query(
            "SELECT outcome FROM reporting.what_if_summary WHERE customer_id = :id", id=row["customer_id"]
        )[0]["outcome"]
        void = outcome == "none" and row["reason_code"] != "R01"
        assert row["action_en"] == (None if void else catalogue[row["reason_code"]].action_en)


def test_what_else_moves_the_score_is_the_strongest_of_each_direction_that_is_not_said_already(
    file: File,
) -> None:
    brackets = left_out = 0
    codes = {reason.code: set(reason.features) for reason in reason_catalogue().reasons}
    for customer_id in file.customers:
        rows = lines(file.query, "reason", customer_id)
        reasons = [row for row in rows if row["part"] == "score"]
        said: set[str] = set().union(*(codes[row["reason_code"]] for row in rows if row["part"] == "decision"))
        told = [group for group in groups(file.query, customer_id) if abs(group["points"]) >= 0.05]
        told = [group for group in told if group["may_be_told"]]
        strong = [group for group in told if group["leader"]["feature"] not in said]
        left_out += len(told) - len(strong)
        recorded = any(row["part"] == "decision" for row in rows)
        most = 3 if recorded else 4
        lower = [group for group in strong if group["points"] < 0][:most]
        raise_ = [group for group in strong if group["points"] > 0][:most]
        assert [row["feature_group"] for row in reasons] == [group["name"] for group in lower + raise_]
        assert all((row["direction"] == "lowers") == (row["ord"] <= 8) for row in reasons)
        for row, group in zip(reasons, lower + raise_, strict=True):
            arrow = "▼ −" if row["direction"] == "lowers" else "▲ +"
            leader = group["leader"]
            label, value = leader["label_en"], f"= {leader['value_en']}"
            if group["counted"] > 1:
                label, value = row["group_label_en"], f"{label} {value}"
                brackets += 1
            assert (row["reason_en"], row["value_en"]) == (label, value)
            plain = re.sub("<div.*</div>|<[^>]*>", "", row["reason_html_en"])
            compared = "" if recorded else f" ({row['compared_en']})"
            colon = ":" if group["counted"] > 1 else ""
            assert plain == f"{arrow}{abs(row['score_points']):.1f} {label}{colon} {value}{compared}"
    assert brackets and left_out


def test_each_part_of_the_reasons_has_its_heading_once(file: File) -> None:
    headings = set()
    for customer_id in file.customers:
        html = [row["reason_html_en"] for row in lines(file.query, "reason", customer_id)]
        found = tuple(re.findall("<div[^>]*>(.*?)</div>", "".join(html)))
        assert html[0].startswith("<div") and f">{found[0]}</div>" in html[0]
        headings.add(found)
    assert headings == {
        ("WHY IT IS NOT ACCEPTED", "WHAT ELSE MOVES THE SCORE"),
        ("WHAT MOVES THE SCORE",),
    }


def test_what_may_not_be_told_is_named_by_no_reason_and_no_chart(file: File) -> None:
    rules = file.query("SELECT * FROM reporting.policy_feature WHERE is_current AND NOT may_be_told")
    assert {"CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH"} <= {rule["feature"] for rule in rules}
    counted = 0
    for customer_id in file.customers:
        texts = []
        for view in ("reason", "bar", "waterfall"):
            rows = lines(file.query, view, customer_id)
            assert not {row.get("feature") for row in rows} & {rule["feature"] for rule in rules}
            texts += [str(value) for row in rows for value in row.values()]
        everything = " ".join(texts)
        for rule in rules:
            for label in (rule["feature_label_en"], rule["feature_label_fr"]):
                assert f"{label} =" not in everything
        facts = lines(file.query, "feature", customer_id)
        untold = [fact["feature"] for fact in facts if not fact["may_be_told"] and fact["score_points"]]
        assert set(untold) <= {rule["feature"] for rule in rules if rule["may_score"]}
        counted += len(untold)
    assert counted


def test_a_reason_compares_a_number_with_the_former_customers(file: File, former: Applications) -> None:
    names = [feature.name for feature in explained_features()]
    values, _ = feature_values(former.values)
    told = 0
    for customer_id in file.customers:
        rows = {row["feature"]: row for row in explanation(file.query, customer_id)}
        for reason in lines(file.query, "reason", customer_id):
            if reason["part"] == "decision":
                continue
            feature = by_name()[reason["feature"]]
            group = values[:, names.index(feature.name)]
            row = rows[feature.name]
            if feature.categories:
                code = row["category_code"]
                same = np.isnan(group) if code is None else group == code
                assert former.target is not None
                if same.sum() >= 30:
                    rate = re.search(r"^([\d.]+)% of such former customers defaulted", reason["compared_en"])
                    assert rate
                    assert float(rate[1]) == pytest.approx(100 * former.target[same].mean(), abs=0.051)
                else:
                    assert reason["compared_en"] == "fewer than 30 former customers had this"
            elif row["raw_value"] is None:
                assert reason["compared_en"].startswith("as for ")
                assert reason["compared_fr"].startswith("comme pour ")
            else:
                shown = np.float32(group[np.isfinite(group)] * feature.display_scale)
                value = np.float32(row["raw_value"] * feature.display_scale)
                close = np.isclose(shown, value, rtol=2e-7, atol=0)
                shares = {
                    "higher than": np.mean((shown < value) & ~close),
                    "lower than": np.mean((shown > value) & ~close),
                    "the same as": np.mean(close),
                }
                relation = re.match(r"(higher than|lower than|the same as) (?:(\d+)%|all)", reason["compared_en"])
                assert relation
                share = 100 * shares[relation[1]]
                assert share >= 100 * max(shares.values()) - 0.3
                assert int(relation[2] or 100) == pytest.approx(share, abs=1.2)
                told += 1
                # Of whom: of those who have a value, which may be far from all.
                whole = np.mean(~np.isfinite(group)) < 0.005
                assert reason["compared_en"].endswith("with a value") == (not whole)
                assert reason["compared_fr"].endswith("dont la valeur est connue") == (not whole)
    assert told > 20


def test_small_groups_and_unknown_categories_have_no_rate(file: File) -> None:
    rows = [row for each in file.customers for row in lines(file.query, "reason", each) if row["part"] == "score"]
    compared = [row["compared_en"] for row in rows]
    assert all("former customers" in each for each in compared)
    assert not any("None" in each or "<" in each for each in compared)


# Time


def test_the_timeline_has_a_score_per_date_with_those_of_retired_runs(file: File) -> None:
    for customer_id in file.customers[:3]:
        rows = lines(file.query, "timeline", customer_id)
        assert [row["run_id"] for row in rows] == file.runs
        assert [row["as_of"] for row in rows] == [date(2026, 3, day) for day in (1, 2, 3)]
        assert [row["score_change"] for row in rows] == [None, *np.diff([row["score"] for row in rows])]
        assert [row["is_current"] for row in rows] == [False, False, True]
        assert rows[0]["score"] == rows[1]["score"]
        (score,) = lines(file.query, "score", customer_id)
        assert rows[-1]["score_exact"] == pytest.approx(score["score_exact"])
        assert all(row["band_label_fr"] and row["decision_label_en"] for row in rows)


# Worklist


def test_the_worklist_has_everybody_once_and_tells_what_the_customer_view_tells(
    file: File, new: Applications
) -> None:
    rows = {row["customer_id"]: row for row in file.query("SELECT * FROM reporting.worklist")}
    customers = file.query("SELECT * FROM reporting.customer")
    assert len(rows) == len(customers) == len(new)
    for customer in customers:
        row = rows[customer["customer_id"]]
        for name in (
            "score",
            "previous_score",
            "score_change",
            "percentile",
            "income",
            "age_years",
            "credit_amount",
        ):
            assert row[name] == customer[name], name
        assert row["band_label_fr"] == f"{customer['band_label_fr']} ({customer['band']})"
        assert row["decision_label_en"] == customer["decision_label_en"]
        change = customer["score_change"]
        said = "new" if change is None else {1: "▲ higher", 0: "= unchanged", -1: "▼ lower"}[int(np.sign(change))]
        assert row["change_en"] == said
    assert [row["customer_id"] for row in rows.values() if row["change_fr"] == "nouveau"] == [FIRST_ID]
    moved = file.query(
        "SELECT customer_id FROM reporting.score_history WHERE run_id = ANY(:runs)"
        " GROUP BY customer_id HAVING count(DISTINCT decision) > 1",
        runs=file.runs[-2:],
    )
    assert {row["customer_id"] for row in rows.values() if row["decision_changed"]} == {
        row["customer_id"] for row in moved
    }


def test_the_worklist_is_sorted_and_filtered_by_the_database(file: File) -> None:
    page = file.query(
        "SELECT customer_id, score FROM reporting.worklist WHERE decision_label_fr = 'Accorder'"
        " AND credit_amount > 100000 ORDER BY score_change NULLS LAST, customer_id LIMIT 20 OFFSET 10"
    )
    assert len(page) == 20
    assert all(row["score"] >= 85 for row in page)


@pytest.mark.parametrize(
    ("value", "decimals", "english", "french"),
    [
        (3.14, 1, "▲ +3.1 points", "▲ +3,1 points"),
        (-1.25, 1, "▼ −1.3 points", "▼ −1,3 point"),
        (0.04, 1, "= 0.0 points", "= 0,0 point"),
        (-1, 0, "▼ −1 point", "▼ −1 point"),
        (12, 0, "▲ +12 points", "▲ +12 points"),
        (None, 1, None, None),
    ],
)
def test_points_are_told_with_arrow_sign_and_plural(
    file: File, value: float | None, decimals: int, english: str | None, french: str | None
) -> None:
    row = file.query.one(
        "SELECT reporting.points_en(CAST(:value AS float8), :decimals) AS english,"
        " reporting.points_fr(CAST(:value AS float8), :decimals) AS french",
        value=value,
        decimals=decimals,
    )
    assert (row["english"], row["french"]) == (english, french)


def _scans(node: Any) -> list[dict[str, Any]]:
    """All nodes of a plan that read a table."""
    if isinstance(node, list):
        return [scan for part in node for scan in _scans(part)]
    if not isinstance(node, dict):
        return []
    own = [node] if "Relation Name" in node else []
    return own + [scan for part in node.values() for scan in _scans(part)]
