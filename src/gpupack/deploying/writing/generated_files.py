"""What a deployment consists of: texts and links by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class GeneratedFiles:
    """Files of one folder, not yet written.

    Attributes:
        texts: By path below the folder, with ``/``.
        links: By path, what a symbolic link leads to.
        executable: Paths of texts that are programs.
        in_repository: By path below the model repository, configurations for it.
    """

    texts: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    in_repository: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, text: str, *, is_program: bool = False) -> None:
        """Add a text.

        Raises:
            CheckError: If there is one of that path: two things would be one.
        """
        if path in self.texts or path in self.links:
            raise CheckError(f"two files of a deployment would be {path!r}")
        self.texts[path] = text
        if is_program:
            self.executable.add(path)

    def add_all(self, texts: Mapping[str, str]) -> None:
        """Add several texts by path."""
        for path, text in texts.items():
            self.add(path, text)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, unless there is something of that path."""
        if path not in self.texts:
            self.links.setdefault(path, target)
