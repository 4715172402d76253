"""The nightly flow: published whole, recognised again, refused with a reason."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from db import registry
from db.errors import AuditFailedError, BusyError, RefusedError
from db.runs import ledger, pointer
from db.runs.audit import at_most
from flows.operations import status
from flows.settings import load_settings
from flows.steps.second_opinion import ENGINE_TOLERANCE, engine_error
from scoring.batch import score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Applications
from scoring.errors import ArtefactError, ColumnsError
from scoring.preprocess import explained_features
from tests.flows.engines import Swapped

CHECKS = {
    "empty_columns",
    "applications_loaded",
    "applications_scored",
    "scores_loaded",
    "customers_explained",
    "explanations_incomplete",
    "scores_not_finite",
    "scores_out_of_range",
    "scores_not_of_their_probability",
    "contributions_not_finite",
    "probability_error",
    "additivity_error",
    "not_accepted_with_reasons",
    "reasons_of_others",
    "reasons_of_nothing_kept",
    "stronger_reasons_left_out",
    "reason_error",
    "no_reason_to_tell_share",
    "similar_customers_told",
    "similar_groups_of_wrong_size",
    "similar_rates_out_of_interval",
    "similar_lists_of_wrong_size",
    "similar_error",
    "similar_found_otherwise",
    "what_if_not_accepted",
    "what_if_of_others",
    "what_if_outcomes_not_of_their_offers",
    "what_if_frontier_misplaced",
    "what_if_nearest_unknown",
    "what_if_decisions_not_of_the_policy",
    "what_if_scores_not_of_their_probability",
    "what_if_asked_error",
    "engine_error",
}


@pytest.fixture(scope="module", autouse=True)
def model(installation, files) -> registry.ModelRecord:
    from flows.training import training

    return training([files[0]])


@pytest.fixture
def nightly():
    from flows.nightly import nightly

    return nightly


def written(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    path = folder / name
    frame.write_csv(path)
    return path


@pytest.fixture(scope="module")
def first(installation, files, model):
    from flows.nightly import nightly

    assert model
    return nightly(files[1])


def test_every_customer_is_published_with_a_score_and_every_features_contribution(
    installation, first, new: Applications
) -> None:
    assert first.outcome == "published"
    assert (first.run.customers, first.run.rejected) == (300, 0)
    where = "run_id = (SELECT run_id FROM credit.published_run)"
    assert installation.value(f"SELECT count(*) FROM credit.score WHERE {where}") == 300
    count = installation.value(f"SELECT count(*) FROM credit.shap_value WHERE {where}")
    assert count == 300 * len(explained_features())


def test_what_is_published_is_what_scoring_says(installation, first, new: Applications) -> None:
    bundle = ModelBundle.from_bytes(*registry.artefact(installation.engine, first.run.model_id))
    scored = score_batch(bundle, new)
    rows = installation.rows(
        f"SELECT log_odds, score, percentile FROM credit.score"
        f" WHERE run_id = {first.run.run_id} ORDER BY customer_id"
    )
    np.testing.assert_allclose([row[0] for row in rows], scored.log_odds, atol=1e-12)
    assert [row[1] for row in rows] == scored.score.tolist()
    rows = installation.rows(
        f"SELECT contribution, rank, coalesce(numeric_value, category_code) FROM credit.shap_value"
        f" WHERE run_id = {first.run.run_id} ORDER BY customer_id, feature_id"
    )
    np.testing.assert_allclose([row[0] for row in rows], scored.contributions.astype(np.float32).ravel(), rtol=1e-6)
    assert [row[1] for row in rows] == scored.rank.ravel().tolist()
    values = np.array([np.nan if row[2] is None else row[2] for row in rows])
    np.testing.assert_array_equal(values, scored.values.ravel())


def test_the_first_night_has_none_to_be_compared_with(installation, first) -> None:
    assert first.warnings == ()


def test_the_run_says_how_long_each_stage_took_and_what_the_audit_saw(installation, first) -> None:
    assert {"survey", "check", "score", "what if", "load", "index", "audit"} <= set(first.run.stage_seconds)
    checks = installation.rows(f"SELECT name, passed FROM credit.run_check WHERE run_id = {first.run.run_id}")
    assert {name for name, _ in checks} == CHECKS
    assert all(passed for _, passed in checks)


def test_every_check_has_words_in_both_languages(installation, first) -> None:
    bare = installation.rows("SELECT name FROM reporting.run_check WHERE name IN (check_en, check_fr)")
    assert bare == []


def test_a_night_writes_down_what_it_looks_like_as_a_whole(installation, first) -> None:
    run_id = first.run.run_id
    summary = installation.rows(
        "SELECT s.customers, s.mean_score, s.approval_rate, s.score_psi < 1,"
        " (SELECT avg(100 * (1 - default_probability)) FROM credit.score WHERE run_id = s.run_id),"
        " (SELECT avg((decision = 'accept')::int)::float8 FROM credit.score WHERE run_id = s.run_id)"
        f" FROM credit.run_summary AS s WHERE run_id = {run_id}"
    )
    (customers, mean_score, approval_rate, drift_known, mean, accepted) = summary[0]
    assert (customers, drift_known) == (300, True)
    assert (mean_score, approval_rate) == pytest.approx((mean, accepted))
    assert "statistics" in first.run.stage_seconds
    per_feature = installation.rows(
        f"SELECT count(*), min(customers), max(customers) FROM credit.run_feature WHERE run_id = {run_id}"
    )
    assert per_feature == [(128, 300, 300)]
    wrong = installation.value(
        "SELECT count(*) FROM (SELECT feature_id, sum(customers) AS n, sum(customers * mean_contribution) AS total"
        f" FROM credit.run_feature_bin WHERE run_id = {run_id} GROUP BY 1) AS b"
        " FULL JOIN (SELECT feature_id, count(*) AS n, sum(contribution::float8) AS total FROM credit.shap_value"
        f" WHERE run_id = {run_id} GROUP BY 1) AS v USING (feature_id)"
        " WHERE b.n IS DISTINCT FROM v.n OR abs(b.total - v.total) > 1e-4"
    )
    assert wrong == 0
    assert installation.value("SELECT count(DISTINCT feature_id) FROM credit.feature_bin") == 128


def test_the_same_file_again_changes_nothing(installation, first, files, nightly) -> None:
    again = nightly(files[1])
    assert (again.outcome, again.run.run_id) == ("unchanged", first.run.run_id)


def test_the_same_bytes_under_another_name_change_nothing(installation, first, files, nightly) -> None:
    copy = installation.folder / "another_name.csv"
    copy.write_bytes(files[1].read_bytes())
    assert nightly(copy).outcome == "unchanged"


def test_forced_the_same_file_is_published_anew(installation, first, files, nightly) -> None:
    again = nightly(files[1], force=True)
    assert again.outcome == "published"
    assert again.run.run_id > first.run.run_id
    assert installation.value("SELECT run_id FROM credit.published_run") == again.run.run_id


def test_gzipped_and_parquet_files_give_the_same_scores(installation, first, files, new_frame, nightly) -> None:
    packed = installation.folder / "applications.csv.gz"
    packed.write_bytes(gzip.compress(files[1].read_bytes()))
    parquet = installation.folder / "applications.parquet"
    new_frame.write_parquet(parquet)
    expected = installation.rows(
        f"SELECT customer_id, log_odds FROM credit.score WHERE run_id = {first.run.run_id} ORDER BY 1"
    )
    for file in (packed, parquet):
        run = nightly(file).run
        found = installation.rows(
            f"SELECT customer_id, log_odds FROM credit.score WHERE run_id = {run.run_id} ORDER BY 1"
        )
        assert found == expected
    assert list((installation.settings.state / "scratch").glob("*")) == []


def test_an_edited_file_is_a_new_run_and_the_old_one_stays_in_history(
    installation, first, new_frame, nightly
) -> None:
    edited = written(installation.folder, "edited.csv", new_frame.with_columns(pl.col("AMT_CREDIT") * 1.5))
    run = nightly(edited).run
    assert run.run_id > first.run.run_id
    statuses = dict(installation.rows("SELECT run_id, status FROM credit.scoring_run"))
    assert statuses[first.run.run_id] == statuses[run.run_id] == "published"
    assert installation.value(f"SELECT count(*) FROM credit.score WHERE run_id = {first.run.run_id}") == 300


def test_broken_rows_are_quarantined_with_their_reason_and_the_others_scored(
    installation, new_frame, nightly
) -> None:
    cells = new_frame.select(pl.all().cast(pl.String))
    cells[4, "AMT_CREDIT"] = "1.234,56"
    cells[150, "SK_ID_CURR"] = cells[149, "SK_ID_CURR"]
    cells[200, "ORGANIZATION_TYPE"] = "Space travel"
    run = nightly(written(installation.folder, "broken.csv", cells)).run
    assert (run.customers, run.rejected, run.unknown_categories) == (298, 2, 1)
    rejected = installation.rows(
        f"SELECT row_number, customer_id, column_name, rule, value FROM credit.rejected_application"
        f" WHERE run_id = {run.run_id} ORDER BY row_number"
    )
    assert rejected == [
        (5, "500005", "AMT_CREDIT", "type", "1.234,56"),
        (151, "500150", "SK_ID_CURR", "unique", "500150"),
    ]
    unknown = installation.rows(
        f"SELECT column_name, value, customers FROM credit.unknown_category WHERE run_id = {run.run_id}"
    )
    assert unknown == [("ORGANIZATION_TYPE", "Space travel", 1)]


def test_too_many_broken_rows_refuse_the_run_and_the_old_one_stays(installation, new_frame, nightly) -> None:
    from flows.steps.chunks import RejectedShareError

    before = ledger.published(installation.engine)
    broken = new_frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 10).then(-1.0).otherwise(pl.col("AMT_CREDIT")).alias("AMT_CREDIT")
    )
    with pytest.raises(RejectedShareError, match=r"more than the allowed 1\.0%.*row 1, AMT_CREDIT, rule 'range'"):
        nightly(written(installation.folder, "too_broken.csv", broken))
    assert ledger.published(installation.engine) == before
    last = ledger.latest(installation.engine)
    assert last is not None
    assert last.status == "refused"
    noted = installation.value(f"SELECT count(*) FROM credit.rejected_application WHERE run_id = {last.run_id}")
    assert noted == 10
    # The ledger has what was read, accepted and rejected until then, for whoever asks why.
    assert last.customers is not None and last.rejected == 10
    assert (last.customers + last.rejected) % 100 == 0
    seen = installation.rows(
        f"SELECT status, customers, rejected FROM reporting.run_history WHERE run_id = {last.run_id}"
    )
    assert seen == [("refused", last.customers, 10)]
    from flows.operations import status

    found = status.status_json(installation.settings)
    assert (found["last_run"]["accepted"], found["last_run"]["rejected"]) == (last.customers, 10)
    text = status.status_text(found)
    assert f"refused: {last.customers + 10:,} rows read, {last.customers:,} accepted, 10 rejected" in text


def test_a_missing_column_fails_before_anything_is_opened(installation, new_frame, nightly) -> None:
    before = ledger.latest(installation.engine)
    with pytest.raises(ColumnsError, match="Column EXT_SOURCE_2 is missing"):
        nightly(written(installation.folder, "short.csv", new_frame.drop("EXT_SOURCE_2")))
    assert ledger.latest(installation.engine) == before


def test_columns_in_another_order_and_extra_ones_make_no_difference(
    installation, first, new_frame, nightly
) -> None:
    shuffled = new_frame.select(reversed(new_frame.columns)).with_columns(pl.lit("x").alias("COMMENT"))
    run = nightly(written(installation.folder, "shuffled.csv", shuffled)).run
    query = "SELECT customer_id, log_odds FROM credit.score WHERE run_id = {} ORDER BY 1"
    assert installation.rows(query.format(run.run_id)) == installation.rows(query.format(first.run.run_id))


def test_a_late_file_of_an_older_date_does_not_move_the_pointer_back(installation, new_frame, nightly) -> None:
    before = ledger.published(installation.engine)
    assert before is not None
    older = written(installation.folder, "late.csv", new_frame.with_columns(pl.col("AMT_CREDIT") * 1.1))
    night = nightly(older, as_of=before.as_of - timedelta(days=3))
    assert night.outcome == "published"
    assert night.is_current is False
    assert ledger.published(installation.engine) == before


def test_while_another_run_holds_the_lock_this_one_leaves(installation, files, nightly) -> None:
    with ledger.exclusive(installation.engine), pytest.raises(BusyError):
        nightly(files[1])


def test_a_changed_artefact_is_refused_and_the_old_run_stays(installation, files, model, nightly) -> None:
    from sqlalchemy import text

    before = ledger.published(installation.engine)
    change = "UPDATE credit.model_version SET artefact = set_byte(artefact, 1000, get_byte(artefact, 1000) # 1)"
    with installation.engine.begin() as connection:
        connection.execute(text(change))
    try:
        with pytest.raises(ArtefactError, match="was changed"):
            nightly(files[1], force=True)
    finally:
        with installation.engine.begin() as connection:
            connection.execute(text(change))
    assert ledger.published(installation.engine) == before


def test_contributions_that_lightgbm_does_not_confirm_are_not_published(
    installation, first, files, nightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger.published(installation.engine)
    monkeypatch.setattr(ModelBundle, "engine", property(Swapped.of_bundle))
    with pytest.raises(AuditFailedError, match="nothing was published: engine_error is") as refusal:
        nightly(files[1], force=True)
    # All else is right: the sums, the counts, the ranges.
    assert str(refusal.value).count("expected") == 1
    assert ledger.published(installation.engine) == before
    last = ledger.latest(installation.engine)
    assert last is not None
    assert (last.status, last.message) == ("failed", str(refusal.value))
    found = installation.rows(f"SELECT name FROM credit.run_check WHERE run_id = {last.run_id} AND NOT passed")
    assert found == [("engine_error",)]


def test_a_night_of_which_nobody_was_explained_twice_is_not_published(
    installation, first, files, nightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger.published(installation.engine)
    monkeypatch.setattr("flows.nightly.sample_of", lambda scored, **_: scored.take(np.arange(0)))
    with pytest.raises(AuditFailedError, match=r"engine_error is unknown \(no customer was explained twice\)"):
        nightly(files[1], force=True)
    assert ledger.published(installation.engine) == before


@pytest.mark.parametrize("column", [None, 7], ids=["log-odds", "contributions"])
def test_a_value_that_is_no_number_is_no_agreement(trained, new: Applications, column: int | None) -> None:
    scored = score_batch(trained.bundle, new)
    assert engine_error(trained.bundle, [scored], 2) <= ENGINE_TOLERANCE
    spoilt = scored.take(np.arange(len(scored.score)))
    (spoilt.log_odds if column is None else spoilt.contributions[:, column])[5] = np.nan
    for sample in ([spoilt], [scored, spoilt], [spoilt, scored]):
        error = engine_error(trained.bundle, sample, 2)
        assert np.isnan(error)
        assert not at_most("engine_error", error, ENGINE_TOLERANCE).passed


def test_a_column_of_values_that_nobody_knows_is_refused_by_name(installation, first, new_frame, nightly) -> None:
    from flows.steps.chunks import UnknownValuesError

    before = ledger.published(installation.engine)
    coded = new_frame.with_columns(pl.col("NAME_INCOME_TYPE").cast(pl.Categorical).to_physical())
    said = (
        r"coded\.csv: of 300 values of NAME_INCOME_TYPE, 300 are unknown, such as '\d'.*; known are 'Businessman'"
    )
    with pytest.raises(UnknownValuesError, match=said):
        nightly(written(installation.folder, "coded.csv", coded))
    assert ledger.published(installation.engine) == before
    last = ledger.latest(installation.engine)
    assert last is not None
    assert (last.status, last.customers, last.rejected) == ("refused", 300, 0)
    assert (last.unknown_categories or 0) >= 300


def test_readers_see_the_files_own_numbers_in_every_view(installation, first, new_frame, nightly) -> None:
    amounts = {"AMT_CREDIT": 16_777_217.0, "AMT_INCOME_TOTAL": 123_456_789.0, "AMT_GOODS_PRICE": 2_500_000.49}
    customer = new_frame["SK_ID_CURR"][0]
    large = new_frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(amount)).otherwise(pl.col(name)).alias(name)
        for name, amount in amounts.items()
    )
    nightly(written(installation.folder, "large.csv", large))
    found = {
        str(name): (raw, text)
        for name, raw, text in installation.rows(
            "SELECT feature, raw_value, value_en FROM reporting.customer_explanation"
            f" WHERE customer_id = {customer} AND feature IN ('AMT_CREDIT', 'AMT_INCOME_TOTAL', 'AMT_GOODS_PRICE')"
        )
    }
    assert {name: raw for name, (raw, _) in found.items()} == amounts
    assert [found[name][1] for name in amounts] == ["16,777,217 €", "123,456,789 €", "2,500,000 €"]
    ((code, own, value),) = installation.rows(
        "SELECT c.customer_code, c.customer_value, k.numeric_value FROM reporting.cohort_customer AS c"
        " JOIN reporting.customer_comparison AS k USING (customer_id, feature)"
        f" WHERE customer_id = {customer} AND feature = 'AMT_CREDIT' AND k.outcome = 'repaid'"
    )
    assert (own, value) == (16_777_217.0, 16_777_217.0)
    assert code is not None
    every = installation.value(
        "SELECT count(*) FROM reporting.customer_explanation AS e"
        " JOIN reporting.application AS a USING (customer_id)"
        " WHERE e.feature = 'EXT_SOURCE_2' AND e.raw_value IS DISTINCT FROM a.ext_source_2"
    )
    assert every == 0


def test_a_night_far_smaller_than_those_before_is_told_and_shown_until_a_usual_one(
    installation, first, new_frame, nightly, webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.operations import status

    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", webhook[0])
    night = nightly(written(installation.folder, "half.csv", new_frame.head(149)))
    (sentence,) = night.warnings
    assert "has only 149 customers, expected at least 50% of the 300 of" in sentence
    assert [(told["event"], told["message"]) for told in webhook[1]] == [("night_small", sentence)]
    assert sentence in status.status_json(installation.settings)["problems"]
    ((severity, passed, words),) = installation.rows(
        "SELECT severity, passed, check_en FROM reporting.run_check"
        f" WHERE run_id = {night.run.run_id} AND name = 'customers_of_earlier_nights'"
    )
    assert (severity, passed, words) == ("warn", False, "Customers beside those of earlier nights")
    usual = nightly(written(installation.folder, "usual.csv", new_frame.head(299)))
    assert usual.warnings == ()
    assert not [problem for problem in status.status_json(installation.settings)["problems"] if "only" in problem]
    assert len(webhook[1]) == 1


def test_a_column_that_is_empty_all_night_although_former_customers_had_values_is_told_loudly(
    installation, first, new_frame, nightly, webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.operations import status

    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", webhook[0])
    empty = new_frame.with_columns(pl.lit(None).alias("EXT_SOURCE_2"), pl.lit("").alias("OCCUPATION_TYPE"))
    night = nightly(written(installation.folder, "not_delivered.csv", empty))
    (sentence,) = night.warnings
    assert "has not one value in" in sentence and "EXT_SOURCE_2" in sentence and "OCCUPATION_TYPE" in sentence
    assert [(told["event"], told["message"]) for told in webhook[1]] == [("night_columns", sentence)]
    assert sentence in status.status_json(installation.settings)["problems"]
    ((severity, passed),) = installation.rows(
        "SELECT severity, passed FROM reporting.run_check"
        f" WHERE run_id = {night.run.run_id} AND name = 'empty_columns'"
    )
    assert (severity, passed) == ("warn", False)
    # One customer may lack what most have.
    assert not [
        warning
        for warning in nightly(written(installation.folder, "one.csv", empty.head(1))).warnings
        if "not one value in" in warning and "OCCUPATION_TYPE" in warning
    ]
    assert nightly(written(installation.folder, "again.csv", new_frame.head(298))).warnings == ()


def test_a_file_far_smaller_than_those_before_is_refused_where_the_settings_say_so(
    installation, first, new_frame, nightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.steps.night_size import SmallNightError

    monkeypatch.setenv("CREDITLENS_REFUSED_NIGHT_SHARE", "0.4")
    before = ledger.published(installation.engine)
    small = written(installation.folder, "few.csv", new_frame.head(50))
    with pytest.raises(
        SmallNightError, match=r"few\.csv has 50 applications, 1\d\.\d% of the .*REFUSED_NIGHT_SHARE"
    ):
        nightly(small)
    assert ledger.published(installation.engine) == before


def test_memory_does_not_grow_with_the_rows(
    installation, first, new_frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_CHUNK_ROWS", "500")
    files = []
    for name, copies in (("fifteen_hundred.csv", 5), ("fifteen_thousand.csv", 50)):
        many = pl.concat([new_frame.with_columns(pl.col("SK_ID_CURR") + 1_000 * copy) for copy in range(copies)])
        files.append(str(written(installation.folder, name, many)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.memory", *files], stdout=subprocess.PIPE, text=True, check=True
    )
    (some, peak), (many_more, higher_peak) = (map(float, line.split()) for line in done.stdout.splitlines())
    assert (some, many_more) == (1_500, 15_000)
    # Measured: 17 MB; 66 MB if the scored rows were kept.
    assert higher_peak - peak < 45


def test_a_night_of_a_date_still_to_come_needs_a_reason_which_is_kept_and_told(
    installation, new_frame, nightly, webhook, monkeypatch
) -> None:
    """Until that date, readers would see no other night."""
    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", webhook[0])
    before = ledger.published(installation.engine)
    assert before is not None
    day = installation.settings.today() + timedelta(days=2)
    file = written(installation.folder, "ahead.csv", new_frame.with_columns(pl.col("AMT_CREDIT") * 1.2))
    with pytest.raises(RefusedError, match="after tomorrow"):
        nightly(file, as_of=day)
    assert ledger.published(installation.engine) == before
    night = nightly(file, as_of=day, ahead_because="a rehearsal")
    assert night.is_current
    (sentence,) = night.warnings
    assert "a rehearsal" in sentence and f"creditlens withdraw {night.run.run_id}" in sentence
    assert sentence in status.status_json(load_settings())["problems"]
    assert [told["event"] for told in webhook[1]] == ["night_refused", "night_ahead"]
    assert pointer.withdraw(installation.engine, night.run.run_id, by="olga", reason="over") == before.run_id
    assert nightly(file, as_of=day - timedelta(days=1)).outcome == "published"


def test_the_date_of_a_run_is_today_in_the_lenders_zone_unless_given(installation, first) -> None:
    assert first.run.as_of == installation.settings.today()
    assert isinstance(first.run.as_of, date)
