"""`train …`: models from a person's own sound. Each command of the group has a module of its own."""

from __future__ import annotations

from resonantgen.cli.base import commands


@commands.group("train")
def train_group() -> None:
    """Models from your own sound."""
    from resonantgen.training.memory import keep_memory

    keep_memory("train")
