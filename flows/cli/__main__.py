"""The entry point of `creditlens`: a command that is interrupted while it loads says so in a sentence too."""

from __future__ import annotations

import sys


def main() -> None:
    """Load the commands, which takes a second or two, and run one."""
    try:
        from flows.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("creditlens: Interrupted; run it again at any time.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
