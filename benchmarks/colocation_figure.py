"""Predicted against measured retention of the judged sets, as one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.colocation_report import Judgement


def draw(judgement: Judgement, both: Sequence[tuple[float, float]], path: Path) -> None:
    """Write the figure of the documentation.

    Args:
        judgement: Predictions for the judged sets: three panels.
        both: Retentions under time slicing and MPS in the same sets: the fourth.
        path: Where to.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 4, figsize=(13, 3.6))
    titles = ("sum up to 100 %", "fair sharing", "the model")
    for panel, title, field in zip(
        panels, titles, ("rule", "plain", "predicted"), strict=False
    ):
        for part in judgement.parts:
            panel.scatter(
                getattr(part, field), part.measured, s=12, alpha=0.6, label=part.sharing
            )
        panel.plot([0, 1.05], [0, 1.05], color="0.6", linewidth=1)
        panel.set(title=title, xlabel="predicted retention (ratio)", xlim=(0, 1.1))
    panels[0].set_ylabel("measured retention (ratio)")
    panels[0].legend(loc="upper left", fontsize=8)
    panels[3].scatter(*zip(*both, strict=True), s=12, alpha=0.6, color="C2")
    panels[3].plot([0, 1.05], [0, 1.05], color="0.6", linewidth=1)
    panels[3].set(
        title="the same sets",
        xlabel="measured, time slicing (ratio)",
        ylabel="measured, MPS (ratio)",
        xlim=(0, 1.1),
    )
    figure.tight_layout()
    figure.savefig(path)
