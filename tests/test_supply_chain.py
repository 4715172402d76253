"""What is installed is pinned by hash, names no place to get it from, and is looked up for vulnerabilities."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = [
    "requirements.txt",
    "flows/requirements.txt",
    "superset_assets/requirements.txt",
    ".ci/audit-requirements.txt",
]


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


def test_a_built_package_holds_every_module_and_every_data_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for folder in ("flows", "db", "scoring", "migrations"):
        shutil.copytree(PROJECT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    kinds = {".py", ".csv", ".sql", ".mako", ".typ", ".yaml"}
    due = {str(file.relative_to(source)) for file in source.rglob("*") if file.suffix in kinds}
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert due - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_an_accepted_vulnerability_has_a_reason() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    accepted = settings["tool"]["creditlens"]["accepted-vulnerabilities"]
    assert [identifier for identifier, reason in accepted.items() if len(str(reason)) < 20] == []


Audit = Callable[..., "subprocess.CompletedProcess[str]"]


class Vulnerabilities(BaseHTTPRequestHandler):
    """An OSV service that knows one vulnerability of one package, or is out of order."""

    known: tuple[str, str] | None = None

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        answer: dict[str, object] = {}
        if self.known and asked == self.known[0]:
            affected = [{"package": {"name": asked, "ecosystem": "PyPI"}, "ranges": []}]
            answer = {"vulns": [{"id": self.known[1], "summary": "Bad.", "affected": affected}]}
        body = json.dumps(answer).encode()
        self.send_response(200 if self.known else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    """`make audit` of one file of requirements, with a service here that knows (package, identifier) or nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vulnerabilities)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "CREDITLENS_STATE": str(tmp_path),
        "AUDIT_SERVICE": "osv",
        "AUDIT_URL": f"http://127.0.0.1:{server.server_port}/",
        "NO_PROXY": "127.0.0.1",
        # Not the answers of another day.
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }

    def run(name: str, known: tuple[str, str] | None) -> subprocess.CompletedProcess[str]:
        Vulnerabilities.known = known
        python = PROJECT / ".venv-audit/bin/python"
        assert python.exists(), "`make test` makes .venv-audit; make .venv-audit/installed does it alone."
        return subprocess.run(
            [python, PROJECT / ".ci/audit.py", name], env=environment, capture_output=True, text=True, check=False
        )

    yield run
    server.shutdown()
    server.server_close()


def test_a_finding_fails_the_audit_and_is_named(audit: Audit) -> None:
    done = audit("audit", ("requests", "PYSEC-0-1"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^\S+: requests \S+: PYSEC-0-1, fixed in no version yet$", done.stdout, re.MULTILINE)


def test_an_accepted_finding_is_listed_with_its_reason_and_every_package_with_its_hashes(
    audit: Audit, tmp_path: Path
) -> None:
    done = audit("creditlens", ("lightgbm", "CVE-2026-92786"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted: CVE-2026-92786: LightGBM" in done.stdout
    content = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[\S+\])?==", content, re.MULTILINE)}
    looked_up = re.search(r"(\d+) packages looked up, 0 findings", done.stdout)
    # Some are for other systems.
    assert looked_up and 0.9 * len(pinned) < int(looked_up[1]) <= len(pinned)
    bill = json.loads((tmp_path / "sbom-creditlens.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {component["name"].lower() for component in bill["components"]} == pinned
    assert all(
        any(reference.get("hashes") for reference in component.get("externalReferences", []))
        for component in bill["components"]
    )


def test_an_audit_that_could_not_be_made_is_none(audit: Audit) -> None:
    done = audit("audit", None)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "NOT AUDITED" in done.stdout
