"""The training flow: former customers in, a registered current model and their scores out."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from db import registry
from scoring.bundle import ModelBundle, digest
from scoring.contract import Applications
from scoring.errors import ColumnsError
from scoring.training import Trained


@pytest.fixture(scope="module")
def record(installation, files) -> registry.ModelRecord:
    from flows.training import training

    return training([files[0]])


def test_the_model_is_current_with_its_metrics(
    installation, record: registry.ModelRecord, trained: Trained
) -> None:
    current = registry.current_model(installation.engine)
    assert current is not None
    assert current.model_id == record.model_id
    assert current.metrics["auc"] == pytest.approx(trained.bundle.metrics["auc"], abs=1e-12)


def test_the_artefact_in_the_registry_is_the_bundle(installation, record: registry.ModelRecord) -> None:
    bundle = ModelBundle.from_bytes(*registry.artefact(installation.engine, record.model_id))
    assert bundle.base_value == pytest.approx(record.base_value)


def test_former_customers_are_loaded_with_their_out_of_fold_scores(
    installation, record: registry.ModelRecord, former: Applications, trained: Trained
) -> None:
    rows = installation.rows(
        f"SELECT customer_id, target, log_odds FROM credit.former_customer"
        f" WHERE model_id = {record.model_id} ORDER BY customer_id"
    )
    assert [row[0] for row in rows] == former.customer_id.tolist()
    assert former.target is not None
    assert [row[1] for row in rows] == former.target.tolist()
    assert [row[2] for row in rows] == pytest.approx(trained.out_of_fold_log_odds.tolist(), abs=1e-6)


def test_distributions_hold_exact_quantiles_per_outcome(installation, files) -> None:
    credit = pl.read_csv(files[0], infer_schema_length=None).filter(pl.col("TARGET") == 0)["AMT_CREDIT"]
    ((customers, mean, median),) = installation.rows(
        "SELECT customers, mean, quantiles[501] FROM credit.former_distribution"
        " JOIN credit.feature USING (feature_id) WHERE name = 'AMT_CREDIT' AND outcome = 'repaid'"
    )
    assert customers == len(credit)
    assert mean == pytest.approx(credit.mean())
    # A value that somebody has, also where two stand in the middle.
    assert median == credit.quantile(0.5, "lower")


def test_training_again_on_the_same_customers_is_the_same_model(installation, files, record) -> None:
    from flows.training import training

    assert training([files[0]]).model_id == record.model_id


def test_an_id_in_two_files_counts_once(installation, files) -> None:
    from flows.training import read_former

    twice = read_former.fn([files[0], files[0]], installation.settings)
    assert len(twice.applications) == 2_000


def test_a_file_without_outcome_is_refused(installation, files) -> None:
    from flows.training import training

    with pytest.raises(ColumnsError, match="TARGET"):
        training([files[1]])


def test_a_missing_file_is_refused_by_name(installation) -> None:
    from flows.files.applications import SourceError
    from flows.training import training

    with pytest.raises(SourceError, match=r"no file .*nowhere\.csv"):
        training([Path("/nowhere.csv")])


def test_a_model_of_another_version_is_not_used_but_replaced(
    installation, record: registry.ModelRecord, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.cli.main import usable_model

    engine = installation.engine
    assert usable_model(engine) == record
    artefact, _ = registry.artefact(engine, record.model_id)
    statement = text(
        "UPDATE credit.model_version SET artefact = :artefact, artefact_sha256 = :sha WHERE model_id = :id"
    )
    content = {name: value for name, value in json.loads(artefact).items() if name != "policy"}
    for version in (1, 3):
        caplog.clear()
        older = json.dumps(content | {"version": version}).encode()
        with engine.begin() as connection:
            connection.execute(statement, {"artefact": older, "sha": digest(older), "id": record.model_id})
        assert usable_model(engine) is None
        assert "train again" in caplog.text


def with_outcomes(frame: pl.DataFrame, other: pl.DataFrame, folder: Path) -> list[Path]:
    paths = [folder / "application_train.csv", folder / "application_train_more.csv"]
    frame.write_csv(paths[0])
    other.write_csv(paths[1])
    return paths


def test_a_person_with_two_outcomes_is_left_out_counted_and_told(
    installation, files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.training import read_former

    frame = pl.read_csv(files[0], infer_schema_length=None)
    other = frame.head(7).with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(1 - pl.col("TARGET")).otherwise("TARGET").alias("TARGET")
    )
    paths = with_outcomes(frame, other, tmp_path)
    former = read_former.fn(paths, installation.settings)
    assert len(former.applications) == 1_997
    assert not set(frame["SK_ID_CURR"][:3]) & set(former.applications.customer_id.tolist())
    assert former.rejected == 6
    assert "3 former customers have two outcomes and are left out; customer" in caplog.text
    assert "4 former customers stand in several of" in caplog.text
    assert all(str(path) in caplog.text for path in paths)


def test_a_person_with_two_outcomes_in_one_file_is_left_out(installation, files, tmp_path: Path) -> None:
    from flows.training import read_former

    frame = pl.read_csv(files[0], infer_schema_length=None)
    (path, _) = with_outcomes(
        pl.concat([frame, frame.head(1).with_columns((1 - pl.col("TARGET")).alias("TARGET")), frame[1:2]]),
        frame,
        tmp_path,
    )
    former = read_former.fn([path], installation.settings)
    assert former.rejected == 3
    assert len(former.applications) == 1_999


def test_a_refusal_names_the_file_that_it_is_about(installation, files, tmp_path: Path) -> None:
    from flows.steps.chunks import RejectedShareError, UnknownValuesError
    from flows.training import training

    frame = pl.read_csv(files[0], infer_schema_length=None)
    paths = with_outcomes(frame, frame.select(frame.columns[:4]), tmp_path)
    with pytest.raises(ColumnsError, match=r"application_train_more\.csv: Columns .* are missing"):
        training(paths)
    with_outcomes(frame, frame.with_columns(AMT_CREDIT=pl.lit(-1.0)), tmp_path)
    with pytest.raises(RejectedShareError, match=r"\(\S+application_train_more\.csv: 2,000 of 2,000\)"):
        training(paths)
    coded = {"Cash loans": "a", "Revolving loans": "b"}
    with_outcomes(frame, frame.with_columns(pl.col("NAME_CONTRACT_TYPE").replace(coded)), tmp_path)
    said = r"application_train_more\.csv: of 2,000 values of NAME_CONTRACT_TYPE, 2,000 are unknown, such as '[ab]'"
    with pytest.raises(UnknownValuesError, match=said):
        training(paths)
