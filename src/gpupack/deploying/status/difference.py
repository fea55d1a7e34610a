"""What was found: differences between what runs and what was planned."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from gpupack.quoting import printable


class DifferenceKind(StrEnum):
    """In what way something is not as planned."""

    UNREACHABLE = "unreachable"
    """A server that does not answer."""
    MISSING = "missing"
    """A model, or an object of the cluster, that was planned and is not there."""
    EXTRA = "extra"
    """One that is there and was not planned."""
    NOT_RUNNING = "not running"
    """One that is there, and does not run."""
    WRONG = "wrong"
    """One that runs with another configuration."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as planned.

    Attributes:
        where: The server, or ``cluster``.
        what: The model or object; empty for the server itself.
        detail: In words.
    """

    kind: DifferenceKind
    where: str
    what: str
    detail: str

    def __str__(self) -> str:
        """Return it in a line."""
        what = f" {printable(self.what)}" if self.what else ""
        return f"{self.where}:{what} {self.kind.value}: {printable(self.detail)}"


@dataclass(frozen=True)
class Status:
    """What runs, against what was planned.

    Attributes:
        differences: Everything that is not as planned.
        equal: What was compared and is as planned, in words.
        unchecked: What could not be compared, and why.
    """

    differences: tuple[Difference, ...]
    equal: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether all that was compared is as planned."""
        return not self.differences

    def __str__(self) -> str:
        """Return what differs, then what does not."""
        head = (
            "what runs is what was planned"
            if self.is_equal
            else f"{len(self.differences)} differences from the plan"
            if len(self.differences) > 1
            else "1 difference from the plan"
        )
        lines = [head, *(f"- {one}" for one in self.differences)]
        lines += [f"  as planned: {printable(one)}" for one in self.equal]
        lines += [f"  not compared: {printable(one)}" for one in self.unchecked]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return it as JSON."""
        content = {
            "is_equal": self.is_equal,
            "differences": [asdict(one) for one in self.differences],
            "equal": self.equal,
            "unchecked": self.unchecked,
        }
        return json.dumps(content, indent=2) + "\n"
