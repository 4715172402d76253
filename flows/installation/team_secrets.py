"""`make secrets`: the files of secrets that docker-compose.yml gives to containers. What is there stays.

Only the standard library is imported: whoever runs containers has installed nothing else. The folder is closed to
others; the files in it can be read, since in a container each is another user's, and their owner may write to them.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from flows.installation import atomic

CERTIFICATE, KEY = "tls_certificate", "tls_key"
# Who is to be told of nights; empty files until somebody writes an address into them.
OPTIONAL = ("notify_url", "smtp_url")
DAYS = 90
MODE = 0o644


def write_missing(folder: Path) -> list[str]:
    """Passwords, and the addresses that hold them; the names of the files that were written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    written: list[str] = []

    def once(name: str, content: str) -> str:
        path = folder / name
        if not path.exists():
            atomic.write(path, content, mode=MODE)
            written.append(name)
        # Also of one that was there: the umask is another one here, or its writer was killed before this.
        if path.stat().st_mode & 0o777 != MODE:
            path.chmod(MODE)
        # One that somebody chose may hold any character; it is made a part of addresses.
        return quote(path.read_text().strip(), safe="")

    postgres, prefect, redis = (
        once(f"{name}_password", secrets.token_urlsafe(32) + "\n") for name in ("postgres", "prefect", "redis")
    )
    once("database_url", f"postgresql://creditlens:{postgres}@postgres:5432/creditlens\n")
    once("prefect_database_url", f"postgresql://prefect:{prefect}@postgres:5432/prefect\n")
    once("redis_url", f"redis://:{redis}@redis:6379/0\n")
    for name in OPTIONAL:
        once(name, "")
    return written


def self_signed(folder: Path, host: str) -> list[str]:
    """A certificate for trying, which no browser trusts, where there is none; the names of what was written."""
    if (folder / CERTIFICATE).exists() or (folder / KEY).exists():
        return []
    openssl = shutil.which("openssl")
    if openssl is None:
        sys.exit("creditlens: openssl is not installed (Debian: apt-get install openssl).")
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName={kind}:{host}"]
    files = ["-keyout", str(folder / KEY), "-out", str(folder / CERTIFICATE)]
    done = subprocess.run(
        [*command, "-days", str(DAYS), *names, *files], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"creditlens: openssl made no certificate: {done.stderr.strip().splitlines()[-1]}")
    for name in (CERTIFICATE, KEY):
        (folder / name).chmod(MODE)
    return [CERTIFICATE, KEY]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what is missing, and say what else is."""
    parser = argparse.ArgumentParser(prog="make secrets", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("secrets"), help="Folder (default: secrets)")
    parser.add_argument(
        "--self-signed", metavar="HOST", help="Also a certificate for trying, such as for 127.0.0.1"
    )
    chosen = parser.parse_args(arguments)
    written = write_missing(chosen.folder)
    if chosen.self_signed:
        written += self_signed(chosen.folder, chosen.self_signed)
    print(f"{chosen.folder}: {', '.join(written) or 'nothing'} written, the rest was there.")
    missing = [name for name in (CERTIFICATE, KEY) if not (chosen.folder / name).exists()]
    if len(missing) == 1:
        there = KEY if missing == [CERTIFICATE] else CERTIFICATE
        print(f"{missing[0]} is missing, {there} is there: put the one that fits it there (PEM), or for trying")
        print(f"remove {chosen.folder / there} and run `make secrets SELF_SIGNED=127.0.0.1`.")
    elif missing:
        print(
            f"Still missing: {' and '.join(missing)}. Put your certificate and key there (PEM), or for trying run"
        )
        print("`make secrets SELF_SIGNED=127.0.0.1`.")


if __name__ == "__main__":
    main()
