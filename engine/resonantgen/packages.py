"""Packages of the optional extras: whether they are installed, without importing them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from resonantgen.errors import ModelUnusable


def require_packages(packages: Iterable[str], extra: str, cannot: str) -> None:
    """Raises ModelUnusable with the command that installs `extra` unless all are there. Quick: nothing is loaded.

    `cannot` begins its line: "Codecs do not work".
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ModelUnusable(
            f"{cannot} without {' and '.join(missing)}. Install it with: pip install 'resonantgen[{extra}]'"
        )
