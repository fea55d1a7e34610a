"""Predicted against measured retention of the judged sets, as one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.colocation_report import Judgement


def draw(judgement: Judgement, path: Path) -> None:
    """Write three panels: the plain rule, the plain network, the fitted network."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True)
    titles = ("sum up to 100 %", "network, factor 1", "network, fitted factor")
    for panel, title, field in zip(
        panels, titles, ("rule", "plain", "predicted"), strict=True
    ):
        for part in judgement.parts:
            panel.scatter(
                getattr(part, field), part.measured, s=12, alpha=0.6, label=part.sharing
            )
        panel.plot([0, 1.05], [0, 1.05], color="0.6", linewidth=1)
        panel.set(title=title, xlabel="predicted retention (ratio)", xlim=(0, 1.1))
    panels[0].set_ylabel("measured retention (ratio)")
    panels[0].legend(loc="upper left", fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
