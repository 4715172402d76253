"""`make screenshots`: the pictures of the README, of an installation made for them from synthetic applications.

With `--widths 1280 1600 1920 --to FOLDER` every picture at several widths, to judge a change by.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from playwright.sync_api import Page, sync_playwright

from db.server.embedded import free_port

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MINUTES, DISK_GIGABYTES, MEMORY_GIGABYTES = 10, 2, 3
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NIGHTS = 8
SIZES = {"CREDITLENS_SYNTHETIC_FORMER": "20000", "CREDITLENS_SYNTHETIC_NEW": "5000", "CREDITLENS_TRIALS": "0"}
# Whose credit is not accepted as asked for, with much to explain on both sides, and who may have other terms.
CUSTOMER = (
    "SELECT w.customer_id FROM reporting.worklist AS w JOIN reporting.what_if_summary AS s USING (customer_id)"
    " WHERE w.decision = 'review' AND w.score_change < 0 AND s.feasible"
    " ORDER BY w.score_change, w.customer_id LIMIT 1"
)
# On whom the advisor decides before the pictures: the tab of decisions is to show some.
DECIDED = "SELECT customer_id FROM reporting.worklist WHERE decision <> 'accept' ORDER BY customer_id LIMIT 12"


@dataclass(frozen=True)
class Picture:
    """One tab of one dashboard: its place among the tabs, whether it is of a customer, and pixels high.

    A `slug` with a slash is a page of ours.
    """

    name: str
    slug: str
    tab: int = 0
    of_customer: bool = False
    height: int = 1100
    dark: bool = False


PICTURES = (
    Picture("customer-file", "customer-en", of_customer=True, height=1780),
    Picture("customer-file-fr", "customer-fr", of_customer=True, height=1780),
    Picture("customer-file-dark", "customer-en", of_customer=True, dark=True),
    Picture("customer-features", "customer-en", tab=1, of_customer=True),
    Picture("customer-what-if", "customer-en", tab=2, of_customer=True),
    Picture("customer-what-if-fr", "customer-fr", tab=2, of_customer=True),
    Picture("customer-history", "customer-en", tab=3, of_customer=True, height=1200),
    Picture("decide", "decide/en", of_customer=True, height=1300),
    Picture("reviews", "reviews/en", height=700),
    Picture("worklist", "worklist-en", height=1150),
    Picture("compare", "compare-en", of_customer=True, height=1650),
    Picture("compare-fr", "compare-fr", of_customer=True, height=1650),
    Picture("portfolio-tonight", "portfolio-en", height=1360),
    Picture("portfolio-drift", "portfolio-en", tab=1, height=1200),
    Picture("portfolio-features", "portfolio-en", tab=2),
    Picture("portfolio-quality", "portfolio-en", tab=3, height=1250),
    Picture("portfolio-model", "portfolio-en", tab=4, height=1500),
    Picture("portfolio-policy", "portfolio-en", tab=5, height=1900),
    Picture("portfolio-runs", "portfolio-en", tab=6, height=1250),
    Picture("portfolio-decisions", "portfolio-en", tab=7, height=1500),
    Picture("portfolio-fr", "portfolio-fr", height=1360),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make an installation, take every picture, and remove the installation."""
    parser = argparse.ArgumentParser(
        prog="make screenshots, or python -m superset_assets.screenshots.take",
        description=f"{__doc__}\n\n{NEEDS}\n\nPictures: {', '.join(picture.name for picture in PICTURES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[1600], help="Pixels (default: 1600)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="Folder (default: that of the README's pictures)")
    names = [picture.name for picture in PICTURES]
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PICTURE", choices=names, help="Names of pictures (default: all)"
    )
    chosen = parser.parse_args(arguments)
    print(NEEDS, flush=True)
    if problems := missing(chosen.to):
        print(*(f"screenshots: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        raise SystemExit(2)
    wanted = [picture for picture in PICTURES if not chosen.only or picture.name in chosen.only]
    with installation() as shown:
        with window(shown, chosen.widths[0]) as page:
            for number, customer in enumerate(shown.decided):
                decide(page, shown.url, customer, number)
        for width in chosen.widths:
            suffix = "" if len(chosen.widths) == 1 else f"-{width}"
            for path in take(shown, wanted, chosen.to, width, suffix):
                print(f"{path} {path.stat().st_size // 1024} KB", flush=True)


NEEDS = (
    f"It makes an installation of its own, with {NIGHTS} nights, and removes it again. This takes about {MINUTES}"
    f" minutes, {DISK_GIGABYTES} GB of disk in the folder of temporary files, {MEMORY_GIGABYTES} GB of memory,"
    " Superset and a browser. Each picture is written when it is taken."
)


def missing(folder: Path) -> list[str]:
    """What this machine lacks to take pictures, each in a sentence with the way out."""
    found = []
    if not (PROJECT / ".venv-superset" / "bin" / "gunicorn").exists():
        found.append("Superset is not installed; run `make superset` first.")
    if browser() is None:
        found.append(
            f"{os.environ.get('CREDITLENS_CHROMIUM') or 'Chromium'} was not found; install it (Debian: apt-get"
            " install chromium), or name a browser in CREDITLENS_CHROMIUM."
        )
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        found.append(f"You may not write in {there}; name another folder with --to.")
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < DISK_GIGABYTES:
        found.append(
            f"The disk of {tempfile.gettempdir()} has {free:.1f} GB left, {DISK_GIGABYTES} GB are needed: make"
            " room, or name another folder in TMPDIR."
        )
    return found


def browser() -> str | None:
    """The browser that takes the pictures; None if there is none."""
    chosen = os.environ.get("CREDITLENS_CHROMIUM")
    return next((path for name in ((chosen,) if chosen else BROWSERS) if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Shown:
    """What the pictures are of.

    Attributes
    ----------
    url: address of the dashboards.
    password: the advisor's.
    customer: whose file is shown.
    decided: customers on whom the advisor decides first.
    """

    url: str
    password: str
    customer: int
    decided: Sequence[int]


@contextmanager
def installation() -> Iterator[Shown]:
    """Some nights that differ a little, and Superset over them."""
    with tempfile.TemporaryDirectory(prefix="creditlens-pictures-") as folder:
        state = Path(folder) / "state"
        state.mkdir()
        Path(folder).chmod(0o755)
        environment = {
            **os.environ,
            **SIZES,
            "CREDITLENS_STATE": str(state),
            # Of its own, whatever else runs on this machine.
            "CREDITLENS_PREFECT_PORT": str(free_port(None)),
            "CREDITLENS_SUPERSET_PORT": str(free_port(None)),
        }

        def creditlens(*command: str) -> str:
            done = subprocess.run(
                (sys.executable, "-m", "flows.cli", *command),
                env=environment,
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"creditlens {' '.join(command)}: {done.stdout.strip()}")
            return done.stdout

        try:
            today = date.fromisoformat(json.loads(creditlens("up", "--no-dashboards", "--json"))["as_of"])
            for number in range(1, NIGHTS):
                file = Path(folder) / f"night_{number}.csv"
                another_night(state / "data" / "application_test.csv", file, number)
                # The last one is done anew for the date of the first: no date is after today.
                night = today - timedelta(days=NIGHTS - 1 - number)
                creditlens("nightly", "--applications", str(file), "--as-of", str(night), "--json")
            served = json.loads(creditlens("dashboards", "--json"))
            customer = int(creditlens("sql", "-At", "-c", CUSTOMER))
            decided = [int(number) for number in creditlens("sql", "-At", "-c", DECIDED).split()]
            yield Shown(served["url"], served["users"]["advisor"], customer, decided)
        finally:
            creditlens("down")


def another_night(source: Path, target: Path, number: int) -> None:
    """Some ask for more, one source answers less and less, and a few rows are not as they should be."""
    frame = pl.read_csv(source, infer_schema_length=None)
    chance = np.random.default_rng(number)

    def some(share: float) -> pl.Expr:
        return pl.lit(pl.Series(chance.random(len(frame)) < share))

    credit, source_2 = pl.col("AMT_CREDIT"), pl.col("EXT_SOURCE_2")
    frame.with_columns(
        pl.when(some(0.2)).then((credit * (1 + 0.02 * number)).round(1)).otherwise(credit).alias("AMT_CREDIT"),
        pl.when(some(0.03 * number)).then(None).otherwise(source_2).alias("EXT_SOURCE_2"),
        pl.when(some(0.002)).then(pl.lit("Astronaut")).otherwise("OCCUPATION_TYPE").alias("OCCUPATION_TYPE"),
        pl.when(some(0.0005)).then(-1.0).otherwise("AMT_INCOME_TOTAL").alias("AMT_INCOME_TOTAL"),
    ).write_csv(target)


@contextmanager
def window(shown: Shown, width: int) -> Iterator[Page]:
    """A browser's page on which the advisor is signed in."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser(), headless=True, args=FLAGS, viewport={"width": width, "height": 900}
        )
        page = context.pages[0]
        sign_in(page, shown.url, shown.password)
        yield page
        context.close()


def take(shown: Shown, pictures: Sequence[Picture], folder: Path, width: int, suffix: str = "") -> Iterator[Path]:
    """Sign in as the advisor and take the pictures, `width` pixels wide; the files, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    with window(shown, width) as page, tempfile.TemporaryDirectory() as place:
        for picture in pictures:
            page.emulate_media(color_scheme="dark" if picture.dark else "light")
            page.evaluate(
                "dark => localStorage.setItem('superset-theme-mode', dark ? 'dark' : 'default')", picture.dark
            )
            page.set_viewport_size({"width": width, "height": picture.height})
            page.goto(address(shown.url, picture.slug, shown.customer if picture.of_customer else None))
            page.locator(".dashboard-component-tabs, .dashboard-markdown, main").first.wait_for()
            if picture.tab:
                page.locator(".ant-tabs-tab").nth(picture.tab).click()
            settle(page)
            path = folder / f"{picture.name}{suffix}.png"
            whole = Path(place) / path.name
            page.screenshot(path=whole)
            compress(whole)
            shutil.copyfile(whole, path)
            yield path


def sign_in(page: Page, url: str, password: str, user: str = "advisor") -> None:
    """Through the login form, to the first page."""
    page.goto(f"{url}/login/")
    page.fill("#username", user)
    page.fill("#password", password)
    page.press("#password", "Enter")
    page.wait_for_url(lambda address: "/login/" not in address)


def decide(page: Page, url: str, customer: int, number: int) -> None:
    """Decide on a customer by the page for it: most are refused, and some reviews are asked for."""
    page.goto(address(url, "decide/en", customer))
    accepted = number % 4 == 0
    page.get_by_label("Accept" if accepted else "Refuse", exact=True).check()
    reasons = page.get_by_label("Reason")
    reasons.select_option(index=1 + number % 4)
    page.get_by_role("textbox", name="Note").fill("Papers and figures were looked at together with the customer.")
    page.get_by_role("button", name="Record the decision").click()
    page.wait_for_url(lambda address: "/creditlens/decide/" not in address)
    if number % 5 == 1:
        page.goto(address(url, "review/en", customer))
        page.get_by_label("The customer's point of view").fill("One of the credits is paid back.")
        page.get_by_role("button", name="Record the request").click()
        page.wait_for_load_state("networkidle")


def address(url: str, slug: str, customer: int | None) -> str:
    """Address of a dashboard, or of a page of ours with its language, with the customer chosen."""
    page, _, language = slug.partition("/")
    if language:
        return f"{url}/creditlens/{page}{f'/{customer}' if customer else ''}?language={language}"
    return f"{url}/superset/dashboard/{slug}/{f'?customer={customer}' if customer else ''}"


def settle(page: Page) -> None:
    """Until every chart that is seen has been drawn."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function("() => !document.querySelector('.loading, [data-test=loading-indicator]')")
    # What is drawn moves into its place.
    page.wait_for_timeout(1_000)


def compress(path: Path) -> None:
    """Fewer colours, by the imaging library that Superset brings."""
    code = (
        "import sys; from PIL import Image; p = sys.argv[1];"
        "Image.open(p).convert('RGB').quantize(128, dither=Image.Dither.NONE).save(p, optimize=True)"
    )
    subprocess.run([PROJECT / ".venv-superset" / "bin" / "python", "-c", code, path], check=True)


if __name__ == "__main__":
    main()
