"""The default method: it learns, it repeats itself, and it does not depend on how the section is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from border_toys import whole_spots
from helpers import toy_section
from sklearn.metrics import mean_poisson_deviance

from stsr.methods import Training, create, cross_attention
from stsr.methods.features import disc_means
from stsr.methods.held_out import explained, hold_out
from stsr.methods.inputs import whole_spots as whole_spots_of
from stsr.methods.predictor import BandPredictor
from stsr.methods.residuals import Residuals
from stsr.methods.scaling import Scaling
from stsr.methods.typical import Typical
from stsr.metrics import coverage, pearson

QUIET = Training(device="cpu", progress=False)
SMALL = {
    "steps": 200,
    "dim": 24,
    "heads": 4,
    "stem": 8,
    "dilations": (1, 2),
    "tile": 1.6,
    "patience": 100,
    "learning_rate": 1e-2,
    "reader_learning_rate": 1e-2,
    "reader_batch": 8,
    "diffusion": 4.0,
    "members": 2,
    "readers": 1,
    "read": (64,),
    "reader_widths": (64,),
    "reader_rank": 16,
}


@pytest.fixture(scope="module")
def toy():
    return toy_section()


@pytest.fixture(scope="module")
def fitted(toy):
    return create("cross_attention", SMALL).fit(toy.section, seed=0, training=QUIET)


def whole(method, section):
    return method.on(section, device="cpu")(slice(None))


def prepared(toy, **options):
    """A method that knows the section's scales, and the section as it learns from it."""
    import torch

    method = create("cross_attention", {**SMALL, **options})
    method.arrays = Scaling.learn(toy.section, width=64).arrays | Typical.learn(toy.section).arrays
    method.arrays |= Residuals.learn(toy.section, directions=3).arrays | {"pitch": np.array([100.0])}
    return method, method.tissue(toy.section, torch.device("cpu"), training=True)


def spot_coverage(section, prediction, spots, *, level):
    """Share of the counts of some spots within their intervals, the rates of a spot's cells being wrong together."""
    weights = section.footprint[spots]
    mean, rate_sd = weights @ prediction.mean, np.sqrt(np.maximum(prediction.sd**2 - prediction.mean, 0))
    sd = np.sqrt(mean + (weights @ rate_sd) ** 2)
    return coverage(section.counts.toarray()[spots], mean, sd, level=level).mean()


def test_the_loss_falls_and_the_map_beats_interpolation(toy, fitted):
    assert fitted.history["held_out"][-1] < fitted.history["held_out"][0]
    idw = whole(create("idw").fit(toy.section, seed=0, training=QUIET), toy.section)
    ours, theirs = (np.nanmean(pearson(p.mean, toy.truth)) for p in (whole(fitted, toy.section), idw))
    assert ours > theirs + 0.1


def test_values_are_counts_per_cell(toy, fitted):
    prediction = whole(fitted, toy.section)
    assert prediction.mean.dtype == np.float32
    assert (prediction.mean >= 0).all()
    discs = toy.section.footprint @ prediction.mean
    measured = toy.section.counts.toarray()
    np.testing.assert_allclose(discs.sum(axis=0), measured.sum(axis=0), rtol=0.04)
    many = (measured > 20) & (toy.section.covered == 1)[:, None]
    np.testing.assert_allclose(discs[many] / measured[many], 1, atol=0.01)
    assert prediction.latent.shape == (toy.section.grid.n_cells, 2 * 32)


def test_cuts_leave_no_trace(toy, fitted):
    predict = fitted.on(toy.section, device="cpu")
    bands = [predict(rows) for rows in (slice(0, 7), slice(7, 8), slice(8, 30), slice(30, None))]
    once = whole(fitted, toy.section)
    np.testing.assert_allclose(np.concatenate([b.mean for b in bands]), once.mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([b.latent for b in bands]), once.latent, rtol=1e-3, atol=1e-4)


def test_bands_are_the_same_in_any_order(toy, fitted):
    once = whole(fitted, toy.section)
    predict = fitted.on(toy.section, device="cpu")
    for rows in (slice(40, 60), slice(9, 21), slice(20, 33), slice(0, 9)):
        cells = toy.section.grid.cells(rows)
        np.testing.assert_allclose(predict(rows).mean, once.mean[cells], rtol=1e-3, atol=1e-5)


def test_rates_of_a_cell_are_computed_once_as_bands_go_down(toy, fitted, monkeypatch):
    computed = []
    rates = BandPredictor.rates

    def noted(self, rows):
        computed.append(rows)
        return rates(self, rows)

    monkeypatch.setattr(BandPredictor, "rates", noted)
    predict, rows = fitted.on(toy.section, device="cpu"), toy.section.grid.shape[0]
    for start in range(0, rows, 11):
        predict(slice(start, start + 11))
    assert sorted(row for part in computed for row in range(part.start, part.stop)) == list(range(rows))


def test_an_empty_band_is_empty(toy, fitted):
    bare = replace(toy.section, grid=type(toy.section.grid)(toy.section.grid.affine, toy.section.grid.mask.copy()))
    bare.grid.mask[5:9] = False
    prediction = fitted.on(bare, device="cpu")(slice(5, 9))
    assert prediction.mean.shape == (0, len(bare.genes))


def test_same_seed_same_model(toy):
    one, again, other = (
        create("cross_attention", {**SMALL, "steps": 20}).fit(toy.section, seed=seed, training=QUIET)
        for seed in (0, 0, 1)
    )
    assert again.arrays.keys() == one.arrays.keys()
    assert all(np.array_equal(again.arrays[name], one.arrays[name]) for name in one.arrays)
    assert any(not np.array_equal(other.arrays[name], one.arrays[name]) for name in one.arrays)


def test_arrays_are_all_it_needs(toy, fitted):
    copy = create("cross_attention", SMALL)
    copy.arrays = dict(fitted.arrays)
    np.testing.assert_array_equal(whole(copy, toy.section).mean, whole(fitted, toy.section).mean)


def test_a_spots_own_counts_never_reach_its_own_training_prediction(toy):
    """Doubling one spot's counts changes what its neighbours are told, not what it is told itself."""
    import torch

    from stsr.methods.tissue import Tiles

    toy = whole_spots(toy)
    method = create("cross_attention", {**SMALL, "neighbours": 5})
    scaling = Scaling.learn(toy.section, width=64)
    method.arrays = scaling.arrays | {"pitch": np.array([100.0])}
    method.arrays |= Typical.learn(toy.section).arrays | Residuals.learn(toy.section, directions=3).arrays
    net = method.attending(toy.section).eval()
    tissue = method.tissue(toy.section, torch.device("cpu"), training=True)
    tiles = Tiles(tissue, tissue.patches, side=1000, rng=None)

    def discs():
        tile = next(iter(tiles))
        with torch.no_grad():
            own = tile.patch.of(tile.features)
            rates, _, _ = net(net.tokens(tile.features, tile.pixels), own, tile.patch, tissue.mean)
        heard = tissue.context(*tissue.around(tissue.patches))
        return torch.cat([rates * tile.patch.weight[..., None], heard], dim=-1).sum(dim=1)

    before = discs()
    tissue.density[7] *= 2
    tissue.profile[7] += 1
    tissue.residuals[7] += 1
    after = discs()
    told = [i for i, others in enumerate(tissue.near) if 7 in others]
    torch.testing.assert_close(before[7], after[7], rtol=0, atol=0)
    assert (before[told] != after[told]).any(dim=1).all()


@pytest.mark.parametrize("few", [False, True])
def test_readers_are_told_of_the_spots_around_but_not_where_they_are_tested(toy, few, monkeypatch):
    monkeypatch.setattr(cross_attention, "MANY", 1000 if few else 10)
    method, tissue = prepared(toy, readers=3, held_out=0.3)
    tested = 0
    for number in range(2, 5):
        task = method.task(number, tissue, 0)
        assert all(context.abs().sum() > 0 for _, context, _, _ in task.batches)
        assert all(context.abs().sum() == 0 for _, context, _, _ in task.held_out)
        left_out, learned = (sum(len(batch[0]) for batch in loader) for loader in (task.held_out, task.batches))
        assert left_out + learned == whole_spots_of(toy.section).sum()
        tested += left_out
        assert task.patience == (SMALL["patience"] if few else None)
    # Of few spots each keeps that share, of many all of them together do.
    assert (0.8 if few else 0.2) < tested / len(toy.section.spots) < (1.3 if few else 0.6)


@pytest.mark.parametrize("number", [0, 2])
def test_training_takes_no_more_steps_than_it_may_but_sees_every_spot_once(toy, number):
    method, tissue = prepared(toy)

    def steps(limit):
        method.config = replace(method.config, steps=limit, reader_steps=limit)
        return method.task(number, tissue, 0).module.total_steps

    once = steps(1)
    assert once > 1
    assert [steps(limit) for limit in (once, 2 * once - 1, 2 * once)] == [once, once, 2 * once]


def test_what_is_explained_of_counts_is_told_from_what_is_not():
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 2.0, (200, 3)).astype(np.float32)
    counts, mean = rng.poisson(rates).astype(np.float32), np.full(3, 4.0)
    left, whole = (mean_poisson_deviance(counts.ravel(), told.ravel()) for told in (rates, np.full_like(rates, 4.0)))
    assert explained(mean, counts, rates) == pytest.approx(1 - left / whole, abs=1e-6)
    assert explained(mean, counts, np.full_like(rates, 4.0)) == pytest.approx(0, abs=1e-6)
    assert explained(mean, counts, rng.permutation(rates)) < 0


@pytest.mark.parametrize(
    ("many", "seed", "tells"),
    [(1000, 0, True), (1000, 0, False), (1000, 1, False), (10, 0, True), (10, 0, False), (10, 1, False)],
)
def test_an_image_that_tells_nothing_is_not_listened_to(many, seed, tells, monkeypatch):
    """Readers of few spots stop early and hardly leave the mean, those of many go to the end and know noise by heart."""
    monkeypatch.setattr(cross_attention, "MANY", many)
    section = toy_section(shape=(80, 80), n_genes=60, seed=3).section
    if not tells:
        noise = np.random.default_rng(seed).normal(size=(section.n_features, *section.grid.shape))
        section = replace(section, features=noise.astype(np.float32))
    options = {**SMALL, "steps": 1, "passes": 1, "readers": 3}
    share = create("cross_attention", options).fit(section, seed=seed, training=QUIET).arrays["reader_share"]
    assert share == (0.6 if tells else 0.0)


def test_it_knows_how_far_hidden_spots_lie_from_what_it_expects():
    section = toy_section(shape=(80, 80), n_genes=12, seed=3).section
    rng = np.random.default_rng(0)
    hidden = rng.random(len(section.spots)) < 0.25
    method = create("cross_attention", SMALL).fit(section.subset(~hidden), seed=0, training=QUIET)
    told = method.on(section.subset(~hidden), device="cpu")(slice(None))
    assert 0.7 < spot_coverage(section, told, np.flatnonzero(hidden), level=0.8) < 0.9
    assert 0.88 < spot_coverage(section, told, np.flatnonzero(hidden), level=0.95) < 0.99


def test_one_tile_of_tissue_is_enough_to_hold_spots_out():
    section = toy_section(shape=(26, 26), pitch=40.0, diameter=30.0).section
    method = create("cross_attention", {**SMALL, "steps": 4, "tile": 50.0}).fit(section, seed=0, training=QUIET)
    assert np.isfinite(whole(method, section).mean).all()


def test_few_spots_are_refused(toy):
    few = toy.section.subset(np.arange(12))
    with pytest.raises(ValueError, match="spots=12 are too few"):
        create("cross_attention", SMALL).fit(few, seed=0, training=QUIET)


def test_scaling_standardises_and_reduces(toy):
    section = toy.section
    cells = section.cell_features(slice(None))
    z = Scaling.learn(section, width=64)(cells)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.02)
    assert np.abs(Scaling.learn(section, width=64)(100 * cells)).max() == Scaling.limit
    components = Scaling.learn(section, width=2)(cells)
    assert components.shape == (len(cells), 2)
    np.testing.assert_allclose(np.corrcoef(components.T), np.eye(2), atol=0.05)
    assert components.var(axis=0).mean() == pytest.approx(1, abs=0.05)
    variance = np.linalg.eigvalsh(np.corrcoef(cells.T))[::-1][:2]
    ratio = np.sqrt(variance[0] / variance[1])
    assert components.var(axis=0)[0] / components.var(axis=0)[1] == pytest.approx(ratio, rel=0.05)


def test_disc_means_average_by_area(toy):
    section = toy.section
    weight = section.footprint.toarray()
    expected = weight @ section.cell_features(slice(None)) / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(disc_means(section), expected, rtol=1e-4, atol=1e-4)


def test_a_section_without_spots_is_predicted_from_its_image(toy, fitted):
    alone = whole(fitted, toy.section.subset(np.zeros(len(toy.section.spots), dtype=bool)))
    assert np.nanmean(pearson(alone.mean, toy.truth)) > 0.3
    assert alone.sd.dtype == np.float32
    assert 0.65 < spot_coverage(toy.section, alone, np.arange(len(toy.section.spots)), level=0.8) < 0.95


@pytest.mark.parametrize("spots", [1, 2, 5])
def test_a_few_spots_are_used_where_they_are(toy, fitted, spots):
    few = whole_spots(toy).section.subset(np.arange(spots))
    prediction = whole(fitted, few)
    assert np.isfinite(prediction.mean).all()
    measured = few.counts.toarray()
    many = measured > 20
    np.testing.assert_allclose((few.footprint @ prediction.mean)[many] / measured[many], 1, atol=0.01)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("members", 0, "members=0 is not allowed; pass a whole number from 1 to 32"),
        ("dim", 10, "dim=10 is not allowed; pass a multiple of 4"),
        ("lengths", (3, 1), r"lengths=\(3.0, 1.0\) is not allowed; pass the shortest first"),
        ("held_out", 0.7, "held_out=0.7 is not allowed; pass a number from 0.001 to 0.5"),
    ],
)
def test_options_that_leave_nothing_to_train_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        create("cross_attention", {option: value})


def test_held_out_spots_come_in_squares_and_never_all():
    rng = np.random.default_rng(0)
    rowcol = rng.integers(0, 200, (500, 2))
    held_out = hold_out(rowcol, 25, 0.1, rng)
    assert 50 <= held_out.sum() < 75
    squares = rowcol // 25
    inside = {tuple(square) for square in squares[held_out]}
    assert all(held_out[[tuple(square) in inside for square in squares]])
    few = hold_out(rowcol[:30] // 10, 25, 0.1, rng)
    assert few.sum() == 3
