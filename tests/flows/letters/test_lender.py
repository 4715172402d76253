"""The lender's own texts: what is refused is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import RefusedError
from flows.letters.lender import EXAMPLE, read_lender


def test_the_example_is_sound_and_says_that_it_is_no_legal_advice() -> None:
    notice = read_lender().notice
    assert notice is not None
    assert "no legal advice" in notice.en and "pas un conseil juridique" in notice.fr


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("name: Example Lender", "", "name"),
        ("name: Example Lender", "name: [x", "YAML"),
        ("  en: Customer relations\n", "", "signature.en"),
        ("contact:", "surprise: 1\ncontact:", "surprise"),
        ("name: Example Lender", "name: " + "x" * 81, "name"),
        ("  - 1 Example Street\n", "  - 1 Example Street\n" * 6, "address"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(tmp_path: Path, old: str, new: str, named: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(RefusedError) as refused:
        read_lender(file)
    assert str(file) in str(refused.value) and named in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 100_000, b"- a\n- b\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(RefusedError, match=r"odd\.yaml"):
        read_lender(tmp_path / "odd.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"none\.yaml"):
        read_lender(tmp_path / "none.yaml")
