"""A night that refuses many: its offers are accepted when they are asked for, and workers find the same."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.migrations.nights import put_strict_policy_in_force

FIRST_NUMBER = 900_001


@pytest.fixture(scope="module")
def refusing(installation, files) -> Any:
    """A night under a policy that accepts few."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    put_strict_policy_in_force(installation.engine)
    return nightly(files[1])


def test_every_offer_called_acceptable_is_accepted_when_its_row_goes_through_an_ordinary_night(
    installation, refusing, new_frame: pl.DataFrame
) -> None:
    from flows.nightly import nightly

    columns = ("customer_id", "amount", "annuity", "score", "default_probability")
    offers = pl.DataFrame(
        installation.rows(
            f"SELECT {', '.join(columns)} FROM credit.what_if WHERE run_id = {refusing.run.run_id}"
            " AND decision = 'accept' ORDER BY customer_id, duration, amount"
        ),
        schema=columns,
        orient="row",
    ).with_columns(number=pl.int_range(FIRST_NUMBER, FIRST_NUMBER + pl.len()))
    assert len(offers) > 100
    assert offers["customer_id"].n_unique() >= 10
    rows = (
        offers.select("number", "customer_id", "amount", "annuity")
        .join(new_frame, left_on="customer_id", right_on="SK_ID_CURR", how="left", maintain_order="left")
        .with_columns(AMT_CREDIT=pl.col("amount"), AMT_ANNUITY=pl.col("annuity"), SK_ID_CURR=pl.col("number"))
    )
    file = installation.folder / "offers.csv"
    rows.select(new_frame.columns).write_csv(file)
    night = nightly(file)
    assert (night.outcome, night.run.customers, night.run.rejected) == ("published", len(offers), 0)
    scored = installation.rows(
        "SELECT customer_id, decision, score, default_probability FROM credit.score"
        f" WHERE run_id = {night.run.run_id} ORDER BY customer_id"
    )
    assert [row[0] for row in scored] == offers["number"].to_list()
    assert {row[1] for row in scored} == {"accept"}
    assert [row[2] for row in scored] == offers["score"].to_list()
    assert [row[3] for row in scored] == pytest.approx(offers["default_probability"].to_list(), abs=1e-12)


def test_two_workers_tell_the_same_reasons_similar_customers_and_offers_as_one_process(
    installation, files, refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.nightly import nightly

    def told(run_id: int) -> dict[str, list[tuple[object, ...]]]:
        return {
            table: installation.rows(
                f"SELECT md5((to_jsonb(t) - 'run_id')::text) FROM credit.{table} AS t WHERE run_id = {run_id}"
                " ORDER BY 1"
            )
            for table in ("reason", "similar_customer", "similar_member", "what_if", "what_if_summary")
        }

    monkeypatch.setenv("CREDITLENS_DASK", "local:2")
    spread = nightly(files[1], force=True)
    expected = told(refusing.run.run_id)
    assert all(expected.values())
    assert len(expected["similar_customer"]) == len(expected["similar_member"]) == 300
    assert told(spread.run.run_id) == expected
