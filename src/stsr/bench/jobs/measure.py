"""A child process of the bench: fit one method, predict with it, and score it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.bench.cost import Clock, as_published
from stsr.bench.files import GENES, GRID, MAPS, PREPARED, RESULT, RUN, SCORES, STORE, TRUTH, read_json, write_json
from stsr.bench.protocol.settings import SETTINGS, Setting
from stsr.bench.protocol.splits import Lattice, Parts
from stsr.bench.sources.base import Genes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

    from stsr.methods.model import Model

METRICS = ("pearson", "spearman", "deviance", "mse", "mae", "nrmse", "jensen_shannon")
"""Scores on spots: those on bins without ``rmse`` and ``ssim``, which compare maps scaled to 0 to 1, and with ``mse``."""

RELATIVE = ("pearson", "spearman", "nrmse")
"""Scores on bins of another platform; ``nrmse`` only shows which genes vary. There is no noise ceiling: it accounts for
counting noise alone, not for differences between sections."""

MIN_COVERED = 0.5
"""Share of a spot's area that must lie on the grid for the spot to be scored."""


@dataclass(frozen=True)
class MeasureJob:
    """Input of the child process, passed as JSON.

    Parameters
    ----------
    method, options, seed, setting
        The method and its options, the seed, and the name of the setting.
    genes
        Names of the genes to score, how many, or ``"all"``; used only with ``training``, else the prepared list is.
    training
        Folders of the prepared sections to train on, when these are other sections.
    encoder, device
        Encoder of the features, and where the method runs.
    prepared
        Folder of the prepared section, which is only read.
    store
        A copy of its store, to write to.
    fingerprint
        What the result depends on.
    folder
        Where the result goes.
    """

    method: str
    options: Mapping[str, Any]
    seed: int
    setting: str
    genes: Genes
    training: list[str]
    encoder: str
    device: str
    prepared: str
    store: str
    fingerprint: str
    folder: str

    def content(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)


def measure(job: MeasureJob) -> None:
    """Fit and predict with time and memory measured, then score and draw."""
    import anndata

    from stsr.bench.jobs.maps import draw_extremes
    from stsr.metrics.by_name import STANDARD
    from stsr.spatial import open_store, set_record, spots_record
    from stsr.tl.evaluate import evaluate

    prepared, folder = Path(job.prepared), Path(job.folder)
    sdata = open_store(Path(job.store))
    training = [open_store(Path(other) / STORE) for other in job.training]
    facts = spots_record(sdata)
    setting, truth = SETTINGS[job.setting], None
    if setting.on_truth and (prepared / TRUTH).is_file():
        truth = anndata.read_h5ad(prepared / TRUTH)
    measured, parts, truth = arrange(sdata, setting, truth, job.seed)
    if training:
        genes = transferred_genes(job.genes, training, measured)
    else:
        genes = (prepared / GENES).read_text(encoding="utf-8").splitlines()

    clock = Clock()
    model = run_method(job, training or [sdata], sdata, genes)
    took = clock.read()
    cost: dict[str, float | None] = {
        **took,
        "published_seconds": as_published(took["seconds"], model.history, model.method.config),
    }
    set_record(sdata, facts)

    if parts is None:
        known = read_json(prepared / PREPARED)
        scores = evaluate(
            sdata,
            RESULT,
            truth=truth,
            scales=known["scales"],
            metrics=RELATIVE if known["relative"] else STANDARD,
            ceiling=not known["relative"],
        )
        draw_extremes(sdata, scores, truth, folder / MAPS)
    else:
        scores = score_spots(sdata, measured, parts)
        training_spots = sum(other.tables[spots_record(other).table].n_obs for other in training)
        cost |= {"given": training_spots or int(parts.given.sum()), "hidden": int(parts.hidden.sum())}
    with_imprint(scores, sdata).to_parquet(folder / SCORES, index=False)
    write_json(folder / RUN, {"fingerprint": job.fingerprint, **cost})


def transferred_genes(genes: Genes, training: Sequence[SpatialData], measured: AnnData) -> list[str]:
    """Genes that all sections have; a number of them is chosen on the training sections."""
    from stsr.pp.shared_genes import shared_genes

    shared = shared_genes(training, "all", among=measured.var_names)
    chosen = (
        [g for g in genes if g in shared] if isinstance(genes, list) else shared_genes(training, genes, among=shared)
    )
    if not chosen:
        raise ValueError(f"genes={genes!r} are in no table of all sections; score genes that all sections have.")
    return chosen


def run_method(job: MeasureJob, training: Sequence[SpatialData], sdata: SpatialData, genes: list[str]) -> Model:
    """Fit the method to the sections ``training``, which stay as they are, and predict ``sdata``."""
    from stsr.methods import Training, create
    from stsr.tl.fitting import fit, ready
    from stsr.tl.predict import predict

    method = create(job.method, job.options)
    inputs = [
        ready(section, method, grid=GRID, encoder=job.encoder, device=job.device, progress=False)
        for section in training
    ]
    model = fit(inputs, method, genes, seed=job.seed, training=Training(device=job.device, progress=False))
    predict(sdata, model, grid=GRID, key_added=RESULT, device=job.device, progress=False)
    return model


def arrange(
    sdata: SpatialData, setting: Setting, truth: AnnData | None, seed: int
) -> tuple[AnnData, Parts | None, AnnData | None]:
    """Reduce ``sdata``, in memory, to what the method is given.

    Parameters
    ----------
    sdata
        The section.
    setting
        The setting.
    truth
        Counts of its true bins, where it has them and they are scored.
    seed
        Seed of all random choices.

    Returns
    -------
    measured, parts, truth
        The table of all measured spots; which of them are given and hidden, None when no spot is hidden; and the counts of
        true bins to score against, None when spots are scored.
    """
    from stsr.bench.protocol.molecules import molecules_apart
    from stsr.spatial import Record, set_record, spot_positions, spots_record

    facts = spots_record(sdata)
    measured = sdata.tables[facts.table]
    if setting.transfer:
        set_record(sdata, Record(**(asdict(facts) | dict.fromkeys(("spot_size", "spots", "table")))))
        none = np.zeros(measured.n_obs, dtype=bool)
        return measured, Parts(none, ~none), None
    rng = np.random.default_rng(seed)  # the same split for every method, and for the controls
    split, parts, xy = setting.hides(truth is not None), None, spot_positions(sdata, measured, facts)
    given = measured.copy()
    if truth is not None:
        given, truth = molecules_apart(
            given, truth, setting, places=xy, mpp=facts.mpp, diameter=facts.spot_size, seed=seed
        )
    if split is not None:
        rowcol = measured.obs[["array_row", "array_col"]].to_numpy(dtype=np.int64)
        parts = split(Lattice.fit(rowcol, xy), rng)
        given = measured[parts.given].copy()
    if setting.shuffled_labels:
        given.X = given.X[rng.permutation(given.n_obs)]
    sdata.tables[facts.table] = given
    return measured, parts, truth


def with_imprint(scores: pd.DataFrame, sdata: SpatialData) -> pd.DataFrame:
    """Add to the scores of every gene the lattice imprint of the given spots; the p-value is that of all genes together."""
    from stsr.tl.lattice_imprint import lattice_imprint

    names = {"step": "imprint_step", "p_all": "imprint_p"}
    found = lattice_imprint(sdata, RESULT).drop(columns="p").rename(columns=names)
    return scores.merge(found, on="gene", how="left")


def score_spots(sdata: SpatialData, measured: AnnData, parts: Parts) -> pd.DataFrame:
    """Score the predicted sum under each spot against its measured counts.

    Hidden spots are scored and, unless all are hidden, all spots. Spots with less than half of their area on the grid are
    left out.
    """
    import pandas as pd

    from stsr.geometry import footprint
    from stsr.metrics import noise_ceiling, thin
    from stsr.metrics.by_name import score_columns
    from stsr.spatial import gene_positions, raw_counts, read_columns, spot_aperture, spot_positions, spots_record
    from stsr.spatial.bins import table_grid

    facts = spots_record(sdata)
    grid, rows = table_grid(sdata, RESULT)
    aperture = spot_aperture(sdata, facts)
    cells = footprint(grid, spot_positions(sdata, measured, facts), aperture)[:, rows]
    covered = cells.sum(axis=1) >= MIN_COVERED * aperture.area / grid.bin_size**2
    genes = list(sdata.tables[RESULT].var_names)
    counts = raw_counts(measured, name=facts.table)[:, gene_positions(measured.var_names, genes, where="spots")]
    expected = cells @ read_columns(sdata, RESULT, genes).astype(np.float32, copy=False)
    values = expected, *(matrix.toarray() for matrix in (counts, *thin(counts)))
    frames = []
    places = {"hidden": parts.hidden & covered}
    if parts.given.any():
        places["all"] = (parts.given | parts.hidden) & covered
    for where, chosen in places.items():
        prediction, true, *halves = (matrix[chosen] for matrix in values)
        columns = score_columns(true, prediction, METRICS) | {"ceiling": noise_ceiling(*halves)}
        frames.append(pd.DataFrame({"gene": genes, "scale_um": facts.spot_size, "where": where, **columns}))
    return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    measure(MeasureJob(**read_json(Path(sys.argv[1]))))
