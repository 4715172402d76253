"""Known vulnerabilities of every pinned package, and a bill of materials (CycloneDX) of what is installed where.

Runs in an environment of its own, see `make audit`; names of FILES as arguments choose some of them. Exit codes: 0
everything was looked up and nothing was found that is not accepted in pyproject.toml; 1 something was found; 2 the
audit is not complete, whatever it found. AUDIT_SERVICE chooses pip-audit's service (pypi, osv, esms), AUDIT_URL the
address of an OSV service of one's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FILES = {
    "creditlens": "requirements.txt",
    "superset": "superset_assets/requirements.txt",
    "audit": ".ci/audit-requirements.txt",
}


def main() -> int:
    """Audit every file, write every bill of materials; the worst exit code."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    accepted: dict[str, str] = settings["tool"]["creditlens"]["accepted-vulnerabilities"]
    state = Path(os.environ.get("CREDITLENS_STATE", PROJECT / ".creditlens"))
    state.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name in sys.argv[1:] or FILES:
        file = FILES[name]
        listed = state / f"sbom-{name}.json"
        write_bill(PROJECT / file, listed)
        print(f"{file}: bill of materials in {listed}")
        worst = max(worst, audit(PROJECT / file, accepted))
    for identifier, reason in accepted.items():
        print(f"accepted: {identifier}: {reason}")
    return worst


def write_bill(requirements: Path, listed: Path) -> None:
    """One component per pinned package with the hashes that are installed."""
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(requirements)),
            *("--pyproject", str(PROJECT / "pyproject.toml"), "--output-reproducible", "-o", str(listed)),
        ],
        check=True,
    )


def audit(requirements: Path, accepted: dict[str, str]) -> int:
    """0 if every package was looked up and nothing is left, 1 for findings, 2 if it could not be told."""
    service = os.environ.get("AUDIT_SERVICE")
    address = os.environ.get("AUDIT_URL")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes"),
            *("--requirement", str(requirements), "--format", "json", "--progress-spinner", "off"),
            *(("--vulnerability-service", service) if service else ()),
            *(("--osv-url", address) if address else ()),
            *(part for identifier in accepted for part in ("--ignore-vuln", identifier)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    name = requirements.relative_to(PROJECT)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"{name}: NOT AUDITED. The vulnerability service did not answer for every package: {reason}")
        return 2
    findings = [(package, each) for package in found for each in package.get("vulns", [])]
    for package, each in findings:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        print(f"{name}: {package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    skipped = [package["name"] for package in found if "skip_reason" in package]
    if skipped or (done.returncode != 0 and not findings):
        print(f"{name}: NOT AUDITED: {', '.join(skipped) or done.stderr.strip()}")
        return 2
    print(f"{name}: {len(found)} packages looked up, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
