"""A closed list of names, each with the one place where its thing lives, imported when it is asked for.

An explicit line beats discovery: it can be read and jumped to, and naming the choices in `--help`
imports nothing heavy. Names that stand in saved models stay forever.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from netwright.base.errors import unknown


class Registry(Mapping[str, Any]):
    """Name -> class (or module), loaded on first use.

    Args:
        what: What the things are called in an error message, such as "network".
        places: Name -> "package.module:Attribute", or "package.module" for the module itself.
    """

    def __init__(self, what: str, places: Mapping[str, str]) -> None:
        self.what = what
        self._places = dict(places)

    def __getitem__(self, name: str) -> Any:
        """The class called `name`.

        Raises:
            UnknownName: If no such name is listed.
        """
        if name not in self._places:
            raise unknown(self.what, name, self._places)
        module, _, attribute = self._places[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
