"""Scores by scale against the noise ceiling."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stsr.pl._output import axes_figure, check_output, finish
from stsr.pl.figure import figure_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS, STYLES = 10, ("o-", "s--", "^:")
"""Colours of matplotlib's cycle, and how curves are drawn from one round of them to the next."""

LABELS = {
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "rmse": "RMSE of values scaled to 0-1",
    "ssim": "SSIM",
    "deviance": "Poisson deviance",
    "mae": "absolute error",
    "mse": "squared error",
    "nrmse": "RMSE as a share of the truth's mean",
    "jensen_shannon": "Jensen-Shannon divergence",
    "auc": "area under the ROC curve",
    "mutual_information": "mutual information",
}


def scores(
    scores: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    metric: str = "pearson",
    where: str = "all",
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the mean score over genes at each scale, for one result or several.

    Parameters
    ----------
    scores
        What :func:`stsr.tl.evaluate` returns, or several of them by the name they get in the figure. All should be of
        the same genes.
    metric
        One of the scores that :func:`stsr.tl.evaluate` returned. Pearson's correlation is drawn with its noise ceiling.
    where
        ``"all"``, ``"under"`` or ``"between"`` the spots.
    ax
        Draw here instead of in a figure of its own.

    show
        Show the figure at once, as ``plt.show()`` does; False keeps it from pyplot. When None, it is pyplot's current
        figure, for ``plt.show()`` or ``plt.savefig``; in a notebook it is shown as the result.
    save
        File to write the picture to, such as ``"map.png"``; pyplot then lets go of the figure.

    Returns
    -------
    The figure.

    Raises
    ------
    ValueError
        For no scores, an unknown metric, or a metric or place that was not scored.

    Examples
    --------
    >>> import pandas as pd, stsr
    >>> table = pd.DataFrame({"scale_um": [8, 16], "where": "all", "pearson": [0.2, 0.3], "ceiling": [0.3, 0.5]})
    >>> figure = stsr.pl.scores({"idw": table})
    >>> figure.savefig("scores.png")
    """
    check_output(show, save, ax)
    if metric not in LABELS:
        raise ValueError(f"metric={metric!r} is not a score; choose one of {', '.join(LABELS)}.")
    by_name = scores if isinstance(scores, Mapping) else {"prediction": scores}
    if not by_name:
        raise ValueError("scores is empty; pass what stsr.tl.evaluate returns.")
    for name, table in by_name.items():
        if missing := [column for column in ("scale_um", "where") if column not in getattr(table, "columns", ())]:
            raise ValueError(f"scores of {name!r} lack {missing[0]!r}; pass what stsr.tl.evaluate returns.")
        if metric not in table:
            there = ", ".join(known for known in LABELS if known in table) or "no score"
            raise ValueError(
                f"metric={metric!r} is not among the scores of {name!r}, which have {there}; choose one of these, or pass "
                f"metrics=[{metric!r}] to stsr.tl.evaluate."
            )
        if where not in set(table["where"]):
            places = ", ".join(table["where"].unique())
            raise ValueError(f"where={where!r} is not among the scores of {name!r}; they have {places}.")

    if ax is None:
        figure, [[axes]] = figure_of(1, 1, width=5.5, height=3.8)
    else:
        figure, axes = axes_figure(ax), ax
    means = {
        name: table[table["where"] == where].groupby("scale_um").mean(numeric_only=True)
        for name, table in by_name.items()
    }
    for number, (name, mean) in enumerate(means.items()):
        # Colours repeat after ten, so the eleventh curve differs from the first by its marks and dashes.
        style = STYLES[number // COLOURS % len(STYLES)]
        axes.plot(mean.index, mean[metric], style, lw=1.5, ms=4, color=f"C{number % COLOURS}", label=name)
    scales = sorted(set().union(*(mean.index for mean in means.values())))
    first = next(iter(means.values()))
    ceiling = first.get("ceiling", first[metric].iloc[:0]).dropna()
    if metric == "pearson" and len(ceiling):
        axes.plot(ceiling.index, ceiling, "--", color="0.4", lw=1, label="noise ceiling")
        axes.fill_between(ceiling.index, ceiling, 1, color="0.93", lw=0, zorder=0)
        axes.set_ylim(min(0, *axes.get_ylim()), min(1, 1.15 * ceiling.max()))
    else:
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_xscale("log", base=2)
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
    axes.minorticks_off()
    axes.set(xlabel="side of the blocks compared (µm)", ylabel=f"mean {LABELS[metric]}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return finish(figure, show, save)
