"""Plots: the tissue mask, gene maps, comparisons with the truth, training curves and scores.

Every function returns a :class:`matplotlib.figure.Figure`. A notebook shows it once; elsewhere it is pyplot's current
figure, which ``plt.show()`` shows and ``plt.savefig`` keeps. ``save="map.png"`` writes it and lets it go, ``show=True``
shows it at once.
"""

from stsr.pl.compare import compare
from stsr.pl.gene_map import gene_map
from stsr.pl.registration import registration
from stsr.pl.scores import scores
from stsr.pl.tissue import tissue
from stsr.pl.training import training

__all__ = ["compare", "gene_map", "registration", "scores", "tissue", "training"]
