"""The `creditlens` command: one module a group of commands, and what they tell people."""
