"""Rewrites lines of a LightGBM model's text, and keeps the lengths in its header true."""

from __future__ import annotations

from collections.abc import Callable

Change = Callable[[int, str, str], str]


def rewritten(text: str, change: Change) -> str:
    """The text with other values in the lines of its trees.

    Parameters
    ----------
    text: what `Booster.model_to_string()` returns.
    change: called with a tree's number and a line's key and value; returns the new value.
    """
    lines = text.split("\n")
    sizes_at, tree, grown = -1, -1, list[int]()
    for number, line in enumerate(lines):
        if line.startswith("tree_sizes="):
            sizes_at = number
        elif line.startswith("Tree="):
            tree += 1
            grown.append(0)
        elif line == "end of trees":
            break
        elif tree >= 0 and "=" in line:
            key, value = line.split("=", 1)
            lines[number] = f"{key}={change(tree, key, value)}"
            grown[tree] += len(lines[number]) - len(line)
    sizes = lines[sizes_at].removeprefix("tree_sizes=").split()
    # The header holds the length of each tree's part; LightGBM cuts the text by them.
    lines[sizes_at] = (
        f"tree_sizes={' '.join(str(int(size) + more) for size, more in zip(sizes, grown, strict=True))}"
    )
    return "\n".join(lines)
