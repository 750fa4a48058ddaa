"""The overview: a row for each section, setting and scale that something is claimed of, from the committed tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.report.degradation import OURS, THEIRS
from stsr.bench.report.page import INTERPOLATIONS, markdown, with_spread
from stsr.bench.report.summary import PLACE, RUN
from stsr.bench.report.tables import read_summary

CONTROL = "shuffled_image"
"""The setting that is shown beside the one whose truth it is scored on."""

SAME_TRUTH = 0.05
"""Noise ceilings that differ by less, as a share, are of the same truth; other seeds change them by some 1 %."""


@dataclass(frozen=True)
class Claim:
    """Sections and a setting of which something is claimed.

    Parameters
    ----------
    sections
        Names of sections; figures are their mean.
    setting
        Key of :data:`~stsr.bench.protocol.settings.SETTINGS`.
    words
        How the sections are scored, in a few words.
    """

    sections: tuple[str, ...]
    setting: str
    words: str


LEGACY = ("her2st/C2", "her2st/C3", "her2st/C4")

CLAIMS = (
    Claim(("kidney",), "truth", "independent halves of the molecules"),
    Claim(("kidney",), "truth_80", "independent, four fifths of the molecules for the spots"),
    Claim(("breast",), "truth", "single cells of the serial section"),
    Claim(LEGACY, "random_half", "half of the spots hidden"),
    Claim(LEGACY, "blocked", "blocks of spots hidden"),
    Claim(("her2st/B4",), "transfer", "predicted from its H&E alone"),
    Claim(("kidney",), "shared_noise", "as published: copied noise is rewarded"),
)
"""In the order of the rows. A claim without tables has no row."""

HEAD = (
    "section and how it is scored (setting)",
    "scale",
    "default",
    "best other method (of how many)",
    "default above it",
    "best interpolation",
    "noise ceiling (share reached)",
    "imprint",
    f"shuffled H&E: default / {THEIRS}",
)

WHAT = f"""\
The default, `{OURS}`, against the best of all other methods that were run and against the best interpolation, which looks at
no image: all on the same spots, genes and image features. Figures are correlations with measured counts, means over genes,
over seeds (± their standard deviation) and, in rows of several sections, over these; the noise ceiling is what a perfect
prediction would reach. Imprint says how far spots show in the default's map (1 is none); where blocks of the H&E have
changed places, the image is no help, and what is left of the default's lead over `{THEIRS}` comes from the spots: genes that
go together are denoised together, which interpolation does not do.
"""

EARLIER = """\
A row without an imprint was made before that was measured, with the default of that time.
"""

SHARED_NOISE = """\
**Why scores with shared noise are not to be believed.** Tables of this field are often made on spots that are sums of the
very counts that are scored. A spot's counting noise is then part of the truth, and a method that copies it is paid for it.
With independent halves every molecule goes to the spots or to the truth by a coin, and copied noise is worth nothing. It
matters for who is ahead: at 8 µm of the kidney, `idw` beats `ridge`, which sees the image alone, with shared noise, and
loses to it without. Rows with shared noise are there to be compared with tables of others.
"""


def opening(*folders: Path) -> str:
    """What the page of committed benches begins with: the overview, and why noise must not be shared.

    Parameters
    ----------
    folders
        One for each bench, with its ``summary.csv``.

    Returns
    -------
    Markdown.

    Raises
    ------
    ValueError
        Where two folders hold the same scores.
    """
    return f"{overview(read_summaries(*folders))}\n{SHARED_NOISE}"


def read_summaries(*folders: Path) -> pd.DataFrame:
    """The means of several benches as one table.

    Parameters
    ----------
    folders
        One for each bench, with its ``summary.csv``.

    Returns
    -------
    A row for each section, setting, method, scale and place.

    Raises
    ------
    ValueError
        Where two folders hold the same scores: which of them is meant cannot be known.
    """
    table = pd.concat([read_summary(folder).assign(folder=folder.name) for folder in folders], ignore_index=True)
    keys = [*RUN[:-1], *PLACE]
    twice = table[table.duplicated(keys, keep=False)]
    if len(twice):
        section, setting, method = twice.iloc[0][RUN[:-1]]
        same = twice[(twice[RUN[:-1]] == [section, setting, method]).all(axis=1)]
        raise ValueError(
            f"folders={sorted(set(same['folder']))} each hold {method} on {section} in setting {setting}; remove the older one."
        )
    return table.drop(columns="folder")


def overview(summary: pd.DataFrame) -> str:
    """The default against the best other method, the best interpolation and the noise ceiling.

    Parameters
    ----------
    summary
        From :func:`read_summaries`.

    Returns
    -------
    What is compared, and a table with a row for each of :data:`CLAIMS` and scale, as Markdown. What was not measured is a
    dash. A method counts where it was run on all the claim's sections. With other options it is another method, but the
    default with other options is none.

    Examples
    --------
    >>> scores = {"idw": 0.1, "ridge": 0.12, "cross_attention": 0.15}
    >>> summary = pd.DataFrame({"method": scores.keys(), "pearson": scores.values()})
    >>> summary[["section", "setting", "scale_um", "where", "ceiling"]] = "kidney", "truth", 8.0, "all", 0.25
    >>> print(overview(summary).splitlines()[9])
    | kidney, independent halves of the molecules (truth) | 8 µm | 0.150 | ridge 0.120 (of 2) | +25% | idw 0.100 | 0.250 (60%) | – | – |
    """
    rows = [row for claim in CLAIMS for row in _rows(summary, claim)]
    ours, imprint = HEAD.index("default"), HEAD.index("imprint")
    earlier = any(row[imprint] == "–" != row[ours] for row in rows)
    return "\n".join([WHAT, markdown(HEAD, rows), *([EARLIER] if earlier else [])])


def _rows(summary: pd.DataFrame, claim: Claim) -> Iterator[list[str]]:
    """The rows of a claim: one for each scale."""
    chosen = _scored(summary, claim.sections, claim.setting)
    sections = tuple(name for name in claim.sections if name in set(chosen["section"]))
    for scale, here in chosen.groupby("scale_um"):
        scores = _mean_over_sections(here, sections)
        ours = scores.reindex([OURS]).iloc[0]
        others = scores[[str(label).partition(":")[0] != OURS for label in scores.index]]
        best = others["pearson"].max()
        ceiling = here.groupby("section")["ceiling"].mean().mean()  # sections may have unlike numbers of methods
        yield [
            f"{_named(sections)}, {claim.words} ({claim.setting})",
            f"{scale:g} µm",
            with_spread(ours, "pearson"),
            f"{_best(others)} (of {len(others)})" if len(others) else "–",
            _share(ours["pearson"] / best - 1, sign="+") if best > 0 else "–",
            _best(others[others.index.isin(INTERPOLATIONS)]),
            "–" if pd.isna(ceiling) else f"{ceiling:.3f} ({_share(ours['pearson'] / ceiling)})",
            with_spread(ours, "imprint", digits=2),
            _control(summary, claim, here),
        ]


def _scored(summary: pd.DataFrame, sections: Sequence[str], setting: str) -> pd.DataFrame:
    """The scores that count: those of hidden spots, or else of all bins."""
    chosen = summary[summary["section"].isin(sections) & (summary["setting"] == setting)]
    on_bins = "hidden" not in set(chosen["where"])
    return chosen[chosen["where"] == ("all" if on_bins else "hidden")]


def _mean_over_sections(here: pd.DataFrame, sections: Sequence[str]) -> pd.DataFrame:
    """Scores by method. The spread over seeds is that of one section, and means over several have none."""
    scores = ["pearson", "imprint"]
    if len(sections) == 1:
        return here.set_index("method").reindex(columns=[*scores, *(f"{score}_sd" for score in scores)])
    methods = here.groupby("method", sort=False)
    means = methods[[*here.columns.intersection(scores)]].mean()[methods["section"].nunique() == len(sections)]
    return means.reindex(columns=scores).assign(**{f"{score}_sd": np.nan for score in scores})


def _control(summary: pd.DataFrame, claim: Claim, here: pd.DataFrame) -> str:
    """Default and interpolation with shuffled H&E, where the same truth was scored; the sections, where it is not all."""
    on_bins = "all" in set(here["where"])
    if SETTINGS[CONTROL].hides(on_bins) is not SETTINGS[claim.setting].hides(on_bins):
        return "–"
    control = _scored(summary, list(here["section"].unique()), CONTROL)
    control = control[control["scale_um"].isin(here["scale_um"]) & control["where"].isin(here["where"])]
    its, own = (table.groupby("section", sort=False)["ceiling"].mean() for table in (control, here))
    apart = (its / own.reindex(its.index) - 1).abs()
    sections = [str(name) for name in apart.index[~(apart > SAME_TRUTH)]]  # one that is not known is no other
    if not sections:
        return "–"
    scores = _mean_over_sections(control[control["section"].isin(sections)], sections).reindex([OURS, THEIRS])
    told_of = "" if set(sections) == set(here["section"]) else f"{_named(sections)}: "
    return told_of + " / ".join(with_spread(row, "pearson") for _, row in scores.iterrows())


def _named(sections: Sequence[str]) -> str:
    """Sections in short: ``her2st C2, C3``."""
    folder, _, first = sections[0].rpartition("/")
    return ", ".join([f"{folder} {first}".strip(), *(name.rpartition("/")[2] for name in sections[1:])])


def _best(scores: pd.DataFrame) -> str:
    """The method that correlates best."""
    if scores["pearson"].isna().all():
        return "–"
    best = scores.nlargest(1, "pearson").iloc[0]
    return f"{best.name} {with_spread(best, 'pearson')}"


def _share(value: float, sign: str = "-") -> str:
    return "–" if pd.isna(value) else f"{value:{sign}.0%}"
