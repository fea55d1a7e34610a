"""Two placements compared, and what one can do with that: ``compare()``."""

from __future__ import annotations

from gpupack.arguments import require_kind
from gpupack.records.placement import PlacementRecord
from gpupack.report.page.comparing.changes import comparison_markdown, format_comparison
from gpupack.report.page.comparing.comparison import compare_placements
from gpupack.report.page.comparing.moves import ComparisonRecord


class Comparison(ComparisonRecord):
    """What differs between two placements, their GPUs matched by what is on them.

    ``print(comparison)`` is a readable table of what changed.
    """

    def __repr__(self) -> str:
        """Return one short line, however many models there are."""
        return (
            f"<Comparison: {self.num_gpus_before} → {self.num_gpus_after} GPUs, "
            f"{len(self.changed_models)} of {len(self.models)} models changed>"
        )

    def __str__(self) -> str:
        """Return GPUs and cost, then one line per model that changed."""
        return format_comparison(self)

    def to_markdown(self) -> str:
        """Return the same as Markdown, such as for a pull request."""
        return comparison_markdown(self)

    def to_json(self) -> str:
        """Return the whole comparison as indented JSON."""
        return self.model_dump_json(indent=2, exclude_none=True)


def compare(before: PlacementRecord, after: PlacementRecord) -> Comparison:
    """Return what differs between two placements.

    GPU numbers are only labels: a GPU is matched with the one of its type that holds
    the same models, or else most of them, before anything is said to have moved.

    Args:
        before: What ``place()`` or ``read_placement()`` returned.
        after: Likewise.

    Raises:
        InvalidInputError: If one is no placement.
    """
    for argument, value in (("before", before), ("after", after)):
        require_kind(
            argument,
            value,
            PlacementRecord,
            "what place() or gpupack.read_placement(path) returns",
        )
    found = compare_placements(before, after)
    return Comparison.model_construct(**dict(found))
