"""What goes wrong around a night while the server is well: other runs, readers, damaged rows, hostile files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import registry
from scoring.contract import ID
from tests.faults import broken_files
from tests.faults.conftest import Site
from tests.faults.reader import Seen
from tests.faults.watch import Watch

PEAK_MB = 500
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    made = Watch(site.installation.engine)
    made.begin()
    yield made
    made.close()


@pytest.fixture(scope="module")
def first(site: Site) -> Seen:
    """What readers see of the first file."""
    night = site.night(site.files[0])
    assert night.wait() == 0, night.errors
    return site.reader.look()


def under_way(watch: Watch) -> bool:
    return watch.look().newest > watch.before


def test_of_two_nights_at_once_one_leaves_at_once_and_a_killed_one_is_in_nobodys_way(
    site: Site, first: Seen, watch: Watch
) -> None:
    holder = site.night(site.files[0], "--force")
    while not under_way(watch):
        assert holder.running
    holder.freeze()
    started = time.monotonic()
    second = site.night(site.files[1])
    assert second.wait() == 3
    took = time.monotonic() - started
    assert second.answer["outcome"] == "busy"
    assert took < 5
    holder.kill()
    started = time.monotonic()
    third = site.night(site.files[0], "--force")
    assert third.wait() == 0, third.errors
    assert site.reader.look() == first
    print(f"busy after {took:.1f} s; the next one published {time.monotonic() - started:.1f} s after the kill")


def test_publishing_waits_for_no_reader_and_no_reader_waits_for_it(site: Site, first: Seen, watch: Watch) -> None:
    stop = threading.Event()
    longest = 0.0
    seen: set[object] = set()

    def keep_reading() -> None:
        nonlocal longest
        while not stop.is_set():
            started = time.monotonic()
            with site.reader.engine.connect() as connection:
                row = connection.execute(
                    text(
                        "SELECT (SELECT run_id FROM reporting.published_run), count(*),"
                        " (SELECT count(*) FROM reporting.application) FROM reporting.customer"
                    )
                ).one()
            longest = max(longest, time.monotonic() - started)
            seen.add(tuple(row))

    count = text("SELECT count(*) FROM reporting.customer_explanation")
    with site.reader.engine.connect() as patient:
        before = patient.scalar(count)
        background = threading.Thread(target=keep_reading)
        background.start()
        night = site.night(site.files[1])
        attaching = moved = 0.0
        while night.running and not moved:
            now = watch.look()
            if not attaching and watch.at("attach", now):
                attaching = time.monotonic()
            if under_way(watch) and now.pointer == now.newest:
                moved = time.monotonic()
        assert night.wait() == 0, night.errors
        assert patient.scalar(count) == before, "A transaction that was open saw another run"
        stop.set()
        background.join()
    runs = {run for run, _, _ in seen}  # type: ignore[misc]
    assert len(seen) == len(runs) == 2, seen
    # Attaching may be over too quickly to be seen.
    assert not attaching or moved - attaching < 2
    assert longest < 1
    said = f"{moved - attaching:.2f} s" if attaching else "no time that could be seen"
    print(f"publishing took {said}; the longest of all reads took {longest:.2f} s")


def test_a_row_that_changes_between_loading_and_the_audit_is_found(site: Site, first: Seen, watch: Watch) -> None:
    before = site.reader.run_id, site.reader.look()
    for _ in range(10):
        watch.begin()
        night = site.night(site.files[0], "--force")
        while night.running and not (
            under_way(watch)
            and site.installation.value(f"SELECT to_regclass('credit.score_r{watch.look().newest:08d}')")
        ):
            pass
        assert night.freeze()
        run_id = watch.look().newest
        untouched = not site.installation.value(f"SELECT count(*) FROM credit.run_check WHERE run_id = {run_id}")
        if untouched:
            with site.installation.engine.begin() as connection:
                changed = (
                    f"UPDATE credit.shap_value_r{run_id:08d} SET contribution = contribution + 0.5"
                    " WHERE feature_id = 1 AND customer_id ="
                    f" (SELECT min(customer_id) FROM credit.score_r{run_id:08d})"
                )
                assert connection.execute(text(changed)).rowcount == 1
        night.thaw()
        code = night.wait()
        if code == 1:
            break
        # The audit had looked before the row was changed; that night is published, and the next one tried.
        assert code == 0, night.errors
        night = site.night(site.files[0], "--force")
        assert night.wait() == 0
        before = site.reader.run_id, site.reader.look()
    assert code == 1
    assert "additivity_error is 0.5, expected at most 0.0001" in night.answer["message"]  # type: ignore[operator]
    assert (site.reader.run_id, site.reader.look()) == before
    failed = site.installation.rows(
        f"SELECT name, observed FROM credit.run_check WHERE run_id = {run_id} AND NOT passed"
    )
    # Where the customer is not accepted, the reasons do not follow from that contribution any more either.
    assert ("additivity_error", "0.5") in failed
    assert {name for name, _ in failed} <= {"additivity_error", "reason_error", "stronger_reasons_left_out"}
    assert site.installation.value(f"SELECT status FROM credit.scoring_run WHERE run_id = {run_id}") == "failed"


def header_and_rows(number: int) -> tuple[str, list[str]]:
    header, rows = broken_files.pool()
    lines = broken_files.rendered(header, [list(row) for row in rows[:number]]).splitlines()
    return lines[0], lines[1:]


def a_field_of_100_mb(path: Path) -> None:
    header, rows = header_and_rows(20)
    with path.open("w") as file:
        file.write("\n".join([header, *rows]) + "\n100500,")
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write("\n")


def a_quote_before_300_mb(path: Path) -> None:
    header, rows = header_and_rows(20)
    with path.open("w") as file:
        file.write(header + '\n100500,"')
        for _ in range(3_000):
            file.write("\n".join(rows * 5))


def a_header_of_200_mb(path: Path) -> None:
    with path.open("w") as file:
        for _ in range(200):
            file.write("COLUMN," * 142_857)


def a_small_gzip_file_of_a_large_one(path: Path) -> None:
    with gzip.open(path, "wb", 1) as file:
        for _ in range(400):
            file.write(bytes(1_000_000))


LARGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a field of 100 MB": ("a.csv", a_field_of_100_mb, "row 21: the record is longer"),
    "a quote before 300 MB": ("a.csv", a_quote_before_300_mb, "row 1: the record is longer"),
    "a header of 200 MB": ("a.csv", a_header_of_200_mb, "first line is longer"),
    "400 MB of zeros in 2 MB": ("a.csv.gz", a_small_gzip_file_of_a_large_one, "NUL|first line is longer"),
}


@pytest.mark.parametrize(("name", "write", "message"), LARGE.values(), ids=LARGE.keys())
def test_a_monstrous_file_is_refused_in_bounded_memory(
    site: Site, first: Seen, tmp_path: Path, name: str, write: Callable[[Path], None], message: str
) -> None:
    import re

    write(tmp_path / name)
    before = site.reader.run_id
    night = site.night(tmp_path / name)
    assert night.wait() == 2, night.errors
    assert re.search(message, str(night.answer["message"])), night.answer
    assert "Traceback" not in night.errors
    assert site.reader.run_id == before
    print(f"{night.peak_mb:.0f} MB")
    assert night.peak_mb < PEAK_MB
    assert list((site.installation.settings.state / "scratch").glob("*")) == []


def test_formulas_are_text_from_the_file_to_the_reader(site: Site, first: Seen, tmp_path: Path) -> None:
    """They are kept as they were written, in the two views that quote the file, and never become a value."""
    header, rows = broken_files.pool()
    table = [list(row) for row in rows[:100]]
    place = header.index("ORGANIZATION_TYPE")
    for row, formula in zip(table, broken_files.FORMULAS, strict=False):
        row[place] = formula
    for row, formula in zip(table[50:], broken_files.FORMULAS, strict=False):
        row[header.index("AMT_CREDIT")] = formula
    path = tmp_path / "formulas.csv"
    path.write_text(broken_files.rendered(header, table))
    night = site.night(path, CREDITLENS_REJECTED_SHARE="0.1")
    assert night.wait() == 0, night.errors
    published = "run_id = (SELECT run_id FROM reporting.published_run)"
    written = sorted(formula.strip() for formula in broken_files.FORMULAS)
    with site.reader.engine.connect() as connection:
        unknown = connection.execute(
            text(f"SELECT value FROM reporting.unknown_category WHERE {published}")
        ).scalars()
        assert set(unknown) == set(written)
        rejected = connection.execute(
            text(f"SELECT value, rule FROM reporting.rejected_row WHERE {published}")
        ).all()
        assert sorted(value for value, _ in rejected) == written
        assert {rule for _, rule in rejected} == {"type"}
        words = {
            word
            for view in ("application", "customer", "customer_explanation")
            for (row,) in connection.execute(text(f"SELECT v::text FROM reporting.{view} AS v"))
            for word in next(csv.reader(io.StringIO(row.strip("()"))))
            if word.startswith(("=", "@", "+"))
        }
    assert words == set()
    assert ID in header


# Row, column, what stands there, and the rule that it breaks.
BROKEN = (
    (3, "AMT_CREDIT", "1.234,56", "type"),
    (10, "AMT_INCOME_TOTAL", "inf", "finite"),
    (20, "DAYS_BIRTH", "9461", "range"),
    (30, "CNT_CHILDREN", "1.5", "whole"),
    (40, "EXT_SOURCE_2", "high", "type"),
    (51, ID, None, "unique"),
    (60, ID, "", "required"),
)


def test_broken_rows_and_unseen_categories_change_nothing_for_the_others(
    site: Site, first: Seen, tmp_path: Path
) -> None:
    header, rows = broken_files.pool()
    table = [list(row) for row in rows[:100]]
    scores = text("SELECT customer_id, log_odds FROM reporting.customer")
    sound, broken = tmp_path / "sound.csv", tmp_path / "broken.csv"
    sound.write_text(broken_files.rendered(header, table))
    night = site.night(sound)
    assert night.wait() == 0, night.errors
    with site.reader.engine.connect() as connection:
        before = {row.customer_id: row.log_odds for row in connection.execute(scores)}
    ids = [row[header.index(ID)] for row in table]
    written = {row: ids[49] if value is None else value for row, _, value, _ in BROKEN}
    for row, column, _, _ in BROKEN:
        table[row - 1][header.index(column)] = written[row]
    table[70][header.index("ORGANIZATION_TYPE")] = "Space travel"
    broken.write_text(broken_files.rendered(header, table))
    night = site.night(broken, CREDITLENS_REJECTED_SHARE="0.1")
    assert night.wait() == 0, night.errors
    assert (night.answer["customers"], night.answer["rejected"]) == (93, 7)
    published = "run_id = (SELECT run_id FROM reporting.published_run)"
    with site.reader.engine.connect() as connection:
        after = {row.customer_id: row.log_odds for row in connection.execute(scores)}
        rejected = connection.execute(
            text(
                "SELECT source_name, row_number, column_name, rule, value FROM reporting.rejected_row"
                f" WHERE {published} ORDER BY row_number"
            )
        ).all()
        unknown = connection.execute(
            text(f"SELECT column_name, value, customers FROM reporting.unknown_category WHERE {published}")
        ).all()
    assert [tuple(row) for row in rejected] == [
        ("broken.csv", row, column, rule, written[row] or None) for row, column, _, rule in BROKEN
    ]
    assert [tuple(row) for row in unknown] == [("ORGANIZATION_TYPE", "Space travel", 1)]
    gone = {int(ids[row - 1]) for row, *_ in BROKEN}
    traveller = int(ids[70])
    assert set(after) == set(before) - gone
    assert {customer: after[customer] for customer in after if customer != traveller} == {
        customer: before[customer] for customer in after if customer != traveller
    }


def one_byte_changed(artefact: bytes) -> bytes:
    return artefact[:1000] + bytes([artefact[1000] ^ 1]) + artefact[1001:]


def a_pickle(artefact: bytes) -> bytes:
    return pickle.dumps(json.loads(artefact))


def another_feature_list(artefact: bytes) -> bytes:
    content = json.loads(artefact)
    return json.dumps({**content, "features": content["features"][::-1]}).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_byte_changed, "was changed"),
        (a_pickle, "is not JSON"),
        (another_feature_list, "another feature list"),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_an_artefact_that_is_not_the_models_own_ends_the_night_and_readers_keep_the_last_one(
    site: Site, first: Seen, change: Callable[[bytes], bytes], message: str
) -> None:
    engine = site.installation.engine
    record = registry.current_model(engine)
    assert record is not None
    artefact, sha256 = registry.artefact(engine, record.model_id)
    before = site.reader.run_id, site.reader.look()
    changed = change(artefact)
    # What was written on purpose has its own digest; what was damaged has not.
    known = sha256 if change is one_byte_changed else hashlib.sha256(changed).hexdigest()
    put = text(
        "UPDATE credit.model_version SET artefact = :artefact, artefact_sha256 = :sha256 WHERE model_id = :id"
    )
    with engine.begin() as connection:
        connection.execute(put, {"artefact": changed, "sha256": known, "id": record.model_id})
    try:
        night = site.night(site.files[0], "--force")
        assert night.wait() == 2, night.errors
    finally:
        with engine.begin() as connection:
            connection.execute(put, {"artefact": artefact, "sha256": sha256, "id": record.model_id})
    print(night.answer["message"])
    assert message in str(night.answer["message"])
    assert "Traceback" not in night.errors
    assert (site.reader.run_id, site.reader.look()) == before
