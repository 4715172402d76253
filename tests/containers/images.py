"""Stand-ins for the public base images, where no registry can be reached, and our images on top of them.

Debian's packages of Python, Postgres, Redis and nginx, with entry scripts that know as much as docker-compose.yml
relies on. They carry the public names on this machine only, in the folder of the trial.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import yaml

from tests.containers.engine import PROJECT, Engine, EngineError

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
DEBIAN = "localhost/creditlens-stand-in-debian"
SUITE = "bookworm"
# With the machine's own network, and in the format that knows of health checks.
BUILT = ("--network", "host", "--format", "docker")
# Megabytes, as podman counts them; of a base that is no smaller than the public one.
LIMITS = {"jobs": 900, "dashboards": 1_600}
SLIM = """\
APT::Install-Recommends "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
"""


def there(engine: Engine, image: str) -> bool:
    """Whether an image is in the folder of images."""
    return bool(engine.podman("images", "--quiet", image).strip())


def public_names() -> dict[str, str]:
    """The public image of each stand-in, as docker-compose.yml and the Dockerfile name it."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    python = re.search(r"^ARG PYTHON_IMAGE=(\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert python
    return {
        "python": f"docker.io/library/{python[1]}",
        **{name: compose[f"x-{name}-image"] for name in ("postgres", "redis", "nginx")},
    }


def our_names() -> dict[str, str]:
    """The names of our images by the stage of the Dockerfile."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return {stage: compose[f"x-{stage}-image"]["image"] for stage in LIMITS}


def mirror() -> str:
    """Where this machine's own packages come from."""
    said = subprocess.run(["apt-cache", "policy"], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"(https?://\S+) {SUITE}/main", said)
    if found is None:
        raise EngineError(f"apt knows no mirror with {SUITE}/main, of which the stand-ins are made.")
    return found[1]


def make_stand_ins(engine: Engine) -> None:
    """Every base image; what is there already and unchanged is taken from there."""
    names = public_names()
    if not there(engine, DEBIAN):
        root = engine.folder / "debian"
        with (engine.folder / "debootstrap.log").open("w") as log:
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root), mirror()]
            if subprocess.run(command, stdout=log, stderr=log, check=False).returncode:
                raise EngineError(f"debootstrap failed; see {log.name}.")
        for spare in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists"):
            shutil.rmtree(root / spare, ignore_errors=True)
        for package in (root / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        (root / "etc/apt/apt.conf.d/99slim").write_text(SLIM)
        archive = engine.folder / "debian.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        engine.podman("import", archive, DEBIAN)
        archive.unlink()
        shutil.rmtree(root)
    for name, public in names.items():
        file = STAND_INS / f"Containerfile.{name}"
        engine.podman(
            "build", "--network", "host", "--format", "docker", "--file", file, "--tag", public, STAND_INS
        )


def _of_this_machine(engine: Engine) -> list[str]:
    """How this machine reaches the packages of Python: its own settings of pip, lent to the build."""
    settings = Path("/etc/pip.conf")
    certificate = os.environ.get("PIP_CERT")
    if not settings.exists():
        settings = engine.folder / "pip.conf"
        settings.write_text(f"[global]\ncert = {certificate}\n" if certificate else "")
    lent = [(settings, Path("/etc/pip.conf")), *([(Path(certificate),) * 2] if certificate else [])]
    return [word for ours, theirs in lent for word in ("--volume", f"{ours}:{theirs}:ro")]


# Everything that commands import late too: what was taken out of the images must not have been needed.
IMPORTS = {
    "jobs": "import flows.cli.main, flows.nightly, flows.training, flows.letters.report, flows.letters.figures,"
    " flows.steps.dask, prefect_dask, prefect.server.api.server, asyncpg, scipy.special, scipy.stats, scipy.io,"
    " sklearn.model_selection, pyarrow.parquet, pyarrow.csv, pyarrow.dataset, lightgbm, shap, optuna, redis",
    "dashboards": "import superset.app, gunicorn, pandas, pyarrow, psycopg2, redis",
}
PYTHONS = {"jobs": "/app/.venv/bin/python", "dashboards": "/app/.venv-superset/bin/python"}


def build(engine: Engine) -> dict[str, int]:
    """Build both images; megabytes by stage. Raises EngineError for one that is too big."""
    sizes = {}
    for stage, name in our_names().items():
        started = time.monotonic()
        engine.podman(
            "build", *BUILT, *_of_this_machine(engine), "--target", stage, "--tag", f"docker.io/library/{name}", "."
        )
        size = engine.podman("image", "inspect", "--format", "{{.Size}}", f"docker.io/library/{name}")
        sizes[stage] = round(int(size) / 1e6)
        entry = ["--entrypoint", PYTHONS[stage], f"docker.io/library/{name}"]
        engine.podman("run", "--rm", "--network", "none", *entry, "-c", IMPORTS[stage])
        took = time.monotonic() - started
        print(f"  {name}: {sizes[stage]} MB (limit {LIMITS[stage]}), built in {took:.0f} s", flush=True)
    too_big = [
        f"{stage} has {size} MB of at most {LIMITS[stage]}" for stage, size in sizes.items() if size > LIMITS[stage]
    ]
    if too_big:
        raise EngineError("; ".join(too_big) + ".")
    return sizes
