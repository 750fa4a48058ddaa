"""Which genes to learn from several sections together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stsr.arguments import ALL, GENES
from stsr.pp.select_genes import rank_genes, select_genes
from stsr.spatial import record, spots_table

if TYPE_CHECKING:
    from spatialdata import SpatialData


def shared_genes(
    sections: Sequence[SpatialData], genes: int | str | Sequence[str], *, among: Collection[str] | None = None
) -> list[str]:
    """Genes that all sections have, chosen as :func:`stsr.pp.select_genes` does for one.

    Genes of a number are those of the best mean rank over the sections; where a gene is too rare to be ranked, it
    comes last.

    Parameters
    ----------
    sections
        Sections with spots.
    genes
        How many, ``"all"`` that are shared, or names.
    among
        Choose only from these, when ``genes`` is no list of names.

    Raises
    ------
    ValueError
        As :func:`stsr.pp.select_genes`; when a section lacks a gene that is named, or shares none with those before it.
    """
    chosen = GENES("genes", genes)
    if len(sections) == 1 and among is None:
        return select_genes(sections[0], chosen)
    if isinstance(chosen, list):
        return _named(sections, chosen)
    shared = _shared(sections)
    known = set(shared) if among is None else set(shared) & set(among)
    if chosen == ALL:
        return [gene for gene in select_genes(sections[0], ALL) if gene in known]
    orders = [rank_genes(section) for section in sections]
    ranks = [{gene: rank for rank, gene in enumerate(order)} for order in orders]
    ranked = [gene for gene in dict.fromkeys(gene for order in orders for gene in order) if gene in known]
    mean = {gene: np.mean([rank.get(gene, len(rank)) for rank in ranks]) for gene in ranked}
    return sorted(ranked, key=lambda gene: mean[gene])[:chosen]


def _named(sections: Sequence[SpatialData], names: list[str]) -> list[str]:
    """The names, after a check that every section has them all."""
    for section in sections:
        known = set(spots_table(section).var_names)
        if missing := [gene for gene in names if gene not in known]:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(
                f"genes={missing[0]!r}{more} not found in section {record(section).dataset_id!r}; name genes that all "
                "sections have."
            )
    for section in sections:
        select_genes(section, names)
    return names


def _shared(sections: Sequence[SpatialData]) -> list[str]:
    """Genes of all sections, in the order of the first."""
    shared = list(spots_table(sections[0]).var_names)
    for section in sections[1:]:
        names = spots_table(section).var_names
        known = set(names)
        kept = [gene for gene in shared if gene in known]
        if not kept:
            raise ValueError(
                f"section {record(section).dataset_id!r} shares no gene with those before it ({names[0]!r} against "
                f"{shared[0]!r}); use the same kind of gene names in all sections."
            )
        shared = kept
    return shared
