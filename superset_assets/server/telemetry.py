"""No page asks for Superset's telemetry pixel: one script names its address, and there is no setting for it.

The content security policy would stop the request too, but with an error in every console.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

PIXEL = "https://apachesuperset.gateway.scarf.sh/pixel/"
# A picture of one transparent point; what the script appends to the address becomes its fragment.
NO_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7#"


def patch_scripts(folder: Path) -> None:
    """Copy the script that asks for the pixel into a folder, and take the address out."""
    import superset

    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.js"):
        file.unlink()
    for file in (Path(superset.__file__).parent / "static" / "assets").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        if PIXEL in text:
            (folder / file.name).write_text(text.replace(PIXEL, NO_PIXEL), encoding="utf-8")


def serve_without_pixel(app: Flask, folder: Path) -> None:
    """Serve the scripts of that folder in the place of Superset's."""
    from flask import request, send_from_directory

    patched = {file.name for file in folder.glob("*.js")}

    @app.before_request
    def without_pixel() -> Response | None:
        name = request.path.removeprefix("/static/assets/")
        if name in patched and name != request.path:
            return send_from_directory(folder, name, max_age=app.config["SEND_FILE_MAX_AGE_DEFAULT"])
        return None
