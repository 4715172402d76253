"""`make assets`: write the asset files anew, for the views of the newest migration."""

from __future__ import annotations

import tempfile
from pathlib import Path

from db import schema
from db.engine import make_engine
from db.server.embedded import EmbeddedPostgres, new_password
from superset_assets.generator import assets, catalogue, source


def main() -> None:
    """Migrate a Postgres of our own that lives as long as this takes, and write what its views ask for."""
    with tempfile.TemporaryDirectory(prefix="creditlens-assets-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "postgres", new_password(), new_password())
        server.start()
        try:
            engine = make_engine(server.url(database="creditlens"))
            schema.upgrade(engine)
            files = assets.build(source.load(), catalogue.read(engine))
            engine.dispose()
        finally:
            server.stop()
    assets.write(files)
    print(f"Wrote {len(files)} files to {assets.FOLDER}")


if __name__ == "__main__":
    main()
