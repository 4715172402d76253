"""PDF from a template and data: tagged (PDF/UA-1), the same bytes for the same data, fonts inside.

Data reach a template as one JSON text and are never part of its source, so that nothing in them is read as markup.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import typst
from matplotlib.ft2font import FT2Font

from db.errors import RefusedError

TEMPLATES = Path(__file__).parent / "templates"
# Shows what the compiler's own fonts cannot.
_FALLBACK = "DejaVuSans.ttf"
_NO_GLYPH = "\ufffd"
_local = threading.local()


def pdf(template: str, data: Mapping[str, Any], day: date, *, root: Path = TEMPLATES) -> bytes:
    """One document. Each thread keeps a compiler, so that the second document costs some ten milliseconds.

    Parameters
    ----------
    template: name of a file in `root`, which reads `sys.inputs.data` as JSON.
    data: with `language`, en or fr, beside what the template shows.
    day: that the file says it was made on; a file of today would differ from that of tomorrow.

    Raises
    ------
    RefusedError: if the template cannot be compiled.
    """
    compilers: dict[Path, typst.Compiler] = _local.__dict__.setdefault("compilers", {})
    path = root / template
    if path not in compilers:
        compilers[path] = typst.Compiler(input=str(path), root=str(root), font_paths=fonts())
    try:
        made, warnings = compilers[path].compile_with_warnings(
            format="pdf",
            sys_inputs={"data": json.dumps(printable(data, str(data["language"])), allow_nan=False)},
            pdf_standards="ua-1",
            timestamp=int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()),
        )
    except typst.TypstError as error:
        raise RefusedError(f"{path.name} makes no PDF: {error.message}") from error
    if warnings or not isinstance(made, bytes):
        raise RefusedError(f"{path.name} makes no sound PDF: {'; '.join(each.message for each in warnings)}")
    return made


def printable(value: Any, language: str = "en") -> Any:
    """The value with every text in it as it is printed.

    Apostrophes are round, French signs keep to the word before them, and what no font can show becomes U+FFFD, as
    PDF/UA allows no empty boxes.
    """
    if isinstance(value, str):
        return _text(value, language)
    if isinstance(value, Mapping):
        return {key: printable(each, language) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [printable(each, language) for each in value]
    return value


def _text(text: str, language: str) -> str:
    text = text.replace("'", "\u2019")
    if language == "fr":
        text = text.replace(" :", "\u00a0:")
        for sign in ";!?":
            text = text.replace(f" {sign}", f"\u202f{sign}")
    known = _characters()
    return "".join(letter if letter == "\n" or ord(letter) in known else _NO_GLYPH for letter in text)


@cache
def fonts() -> typst.Fonts:
    """The compiler's fonts and those that come with matplotlib; none of the machine's, which others do not have."""
    return typst.Fonts(include_system_fonts=False, font_paths=[_font_folder()])


def _font_folder() -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@cache
def _characters() -> frozenset[int]:
    known = FT2Font(str(_font_folder() / _FALLBACK)).get_charmap()
    return frozenset(code for code in known if code >= 0x20 and not 0x7F <= code < 0xA0)
