"""Letters and the report as they are typed, from a night that was published."""

from __future__ import annotations

import hashlib
import stat
import time
from pathlib import Path

import pytest
from pypdf import PdfReader

from flows.letters.lender import EXAMPLE
from tests.flows.cli.json_schema import checked
from tests.flows.cli.test_operations import command
from tests.installation import Installation


@pytest.fixture(scope="module")
def night(installation: Installation, files: tuple[Path, Path]) -> list[tuple[int, str]]:
    """Customer and suggested decision of a published night."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    nightly(files[1])
    rows = installation.rows(
        "SELECT customer_id, decision FROM reporting.customer ORDER BY default_probability DESC"
    )
    return [(int(str(customer)), str(decision)) for customer, decision in rows]


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def text_of(file: Path) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(file).pages).split())


@pytest.mark.parametrize("name", ["letter", "report"])
def test_every_command_explains_itself(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("kind", ["sheet", "decision"])
def test_a_letter_is_one_private_page_that_tells_what_the_night_recorded(
    installation: Installation, night: list[tuple[int, str]], tmp_path: Path, kind: str, language: str
) -> None:
    customer = night[0][0]
    digests = set()
    for place in ("first.pdf", "second.pdf"):
        file = tmp_path / place
        done = command(
            "letter", str(customer), "--kind", kind, "--language", language, "--output", str(file), "--json"
        )
        assert done.returncode == 0, done.stderr
        answer = checked("letter", done.stdout)
        assert (answer["customer_id"], answer["file"], answer["letters"]) == (customer, str(file), 1)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        digests.add(digest(file))
    assert len(digests) == 1
    assert len(PdfReader(file).pages) == 1
    text = text_of(file)
    reasons = installation.rows(
        f"SELECT text_{language} FROM reporting.decision_reason WHERE is_current AND customer_id = {customer}"
    )
    assert reasons
    for (reason,) in reasons:
        assert str(reason).replace("'", "’") in text


def test_the_sheet_names_no_group_that_may_not_be_told(
    installation: Installation, night: list[tuple[int, str]]
) -> None:
    from db.decisions.letter_data import letters
    from flows.letters.words import facts

    found = letters(installation.engine, [customer for customer, _ in night[:50]], facts())
    assert len(found) == 50
    for one in found:
        assert [fact["feature"] for fact in one.facts] == list(facts())
        assert {fact["feature"] for fact in one.facts if not fact["may_score"]} == {
            "CODE_GENDER",
            "NAME_FAMILY_STATUS",
        }
        told = {row["label_en"] for row in one.groups}
        assert not told & {"Age", "Gender", "Number of children", "Family status", "Rating of home region"}


def test_an_unknown_customer_is_refused_in_one_sentence(night: list[tuple[int, str]], tmp_path: Path) -> None:
    done = command("letter", "1", "--output", str(tmp_path / "none.pdf"), "--json")
    assert done.returncode == 2
    assert checked("letter", done.stdout)["message"] == "Customer 1 is not in the published run."
    assert not (tmp_path / "none.pdf").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["500001", "--all-refused", "x"], ["--all-refused", "x", "--output", "y"]]
)
def test_what_does_not_go_together_is_refused(night: list[tuple[int, str]], arguments: list[str]) -> None:
    done = command("letter", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not Path("x").exists()


def test_everybody_who_is_refused_gets_a_letter_and_nobody_else(
    installation: Installation, night: list[tuple[int, str]], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(EXAMPLE.read_text(encoding="utf-8").replace("Example Lender", "Crédit du Nord-Est"), "utf-8")
    folder = tmp_path / "letters"
    done = command("letter", "--all-refused", str(folder), "--language", "fr", "--template", str(mine), "--json")
    assert done.returncode == 0, done.stderr
    refused = {customer for customer, decision in night if decision == "decline"}
    assert refused
    assert checked("letter", done.stdout)["letters"] == len(refused)
    assert {file.name for file in folder.iterdir()} == {f"decision-{customer}.fr.pdf" for customer in refused}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    one = folder / f"decision-{night[0][0]}.fr.pdf"
    assert "Crédit du Nord-Est" in text_of(one)
    alone = tmp_path / "alone.pdf"
    command(
        "letter", str(night[0][0]), "--kind", "decision", "--language", "fr", "--template", str(mine),
        "--output", str(alone),
    )  # fmt: skip
    assert digest(alone) == digest(one)


def test_a_thousand_letters_take_less_than_a_minute(
    installation: Installation, night: list[tuple[int, str]], tmp_path: Path
) -> None:
    from flows.letters.bulk import write_all
    from flows.letters.customer import require_run
    from flows.letters.lender import read_lender

    run = require_run(installation.engine)
    write_all(installation.engine, run, tmp_path / "warm", "decision", "en", read_lender(), threads=2)
    started = time.process_time()
    done = write_all(installation.engine, run, tmp_path / "again", "decision", "en", read_lender(), threads=2)
    # Of all threads, on two cores, whatever else the machine does meanwhile.
    assert (time.process_time() - started) / done.letters < 0.12


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_report_has_several_pages_and_the_figures_of_the_model(
    installation: Installation, night: list[tuple[int, str]], tmp_path: Path, language: str
) -> None:
    digests = set()
    for place in ("first.pdf", "second.pdf"):
        file = tmp_path / place
        done = command("report", "--output", str(file), "--language", language, "--json")
        assert done.returncode == 0, done.stderr
        answer = checked("report", done.stdout)
        digests.add(digest(file))
    assert len(digests) == 1
    assert len(PdfReader(file).pages) >= 3
    text = text_of(file)
    auc = float(str(installation.value("SELECT auc FROM reporting.model_card WHERE is_published")))
    assert f"{auc:.4f}".replace(".", "." if language == "en" else ",") in text
    assert str(installation.value("SELECT artefact_sha256 FROM reporting.model_card WHERE is_published")) in text
    assert answer["model_id"] == installation.value("SELECT model_id FROM reporting.published_run")
