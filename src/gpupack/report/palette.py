"""Colours and patterns that tell models apart, also for the colour-blind.

Nine colours that stay distinct under every common form of colour blindness (Paul
Tol, "Colour Schemes", SRON/EPS/TN/09-002, scheme "muted"), in an order that keeps
neighbours far apart; after nine models the same colours return with a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MODEL_COLORS = (
    "#4477aa",  # the scheme's indigo is too dark on a dark page; "bright" blue instead
    "#ddcc77",
    "#44aa99",
    "#cc6677",
    "#88ccee",
    "#aa4499",
    "#999933",
    "#117733",
    "#882255",
)
SERVER_COLOR = "#9aa0a8"
"""Of the server-only baseline, which is no model."""

HATCHES = ("", "///", "...", "\\\\\\")
"""Patterns by round of colours, in matplotlib's notation."""

SEQUENCE_COLORS = ("#332288", "#117733", "#88ccee", "#ddcc77", "#cc6677", "#aa4499")
"""Of lines in an order, such as batch sizes; markers differ as well."""

SEQUENCE_MARKERS = ("o", "s", "^", "D", "v", "P")
"""Marker per line, in matplotlib's notation."""


@dataclass(frozen=True, slots=True)
class ModelStyle:
    """How one model looks, everywhere."""

    color_index: int
    hatch_index: int

    @property
    def color(self) -> str:
        """The colour as ``#rrggbb``."""
        return MODEL_COLORS[self.color_index]

    @property
    def hatch(self) -> str:
        """The pattern in matplotlib's notation."""
        return HATCHES[self.hatch_index]


def style_by_model(model_names: Iterable[str]) -> dict[str, ModelStyle]:
    """Return a style per model, given by the order of the names."""
    return {
        name: ModelStyle(
            color_index=index % len(MODEL_COLORS),
            hatch_index=index // len(MODEL_COLORS) % len(HATCHES),
        )
        for index, name in enumerate(sorted(set(model_names)))
    }
