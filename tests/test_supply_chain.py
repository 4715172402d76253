"""What is installed is pinned by hash, names no place to get it from, and every accepted finding has its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = ["requirements.txt", "superset_assets/requirements.txt", ".ci/audit-requirements.txt"]


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_with_hashes_and_without_an_address(file: str) -> None:
    content = (PROJECT / file).read_text(encoding="utf-8")
    packages = re.split(r"\n(?=\S)", content.strip())
    assert len(packages) > 20
    loose = [
        package.splitlines()[0]
        for package in packages
        if not re.match(r"[A-Za-z0-9._\[\]-]+==\S+", package) or "--hash=sha256:" not in package
    ]
    assert loose == []
    assert not re.search(r"https?://|--index|--find-links", content)


def test_an_accepted_vulnerability_has_a_reason() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    accepted = settings["tool"]["creditlens"]["accepted-vulnerabilities"]
    assert [identifier for identifier, reason in accepted.items() if len(str(reason)) < 20] == []
