"""What methods of whole sections share: who sees whom, positions, units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.patches import SECTION_METHODS, painted_toy

from stsr.joined import join
from stsr.methods import Training, create
from stsr.methods.histology import section_method
from stsr.methods.histology.section_method import SectionMethod, parts, spot_places
from stsr.methods.shared.coarse_prediction import CoarseLattice
from stsr.methods.shared.requirements import whole_spots
from stsr.metrics import pearson

QUIET = Training(device="cpu", progress=False)
LEARNING = {"epochs": 60, "learning_rate": 1e-3, "batch": 16, "patience": 60}


def fit(name, section, **options):
    return create(name, SECTION_METHODS[name] | options).fit(section, seed=0, training=QUIET)


def predict(method, section):
    return method.on(section, device="cpu")(slice(None)).mean


@pytest.fixture(scope="module")
def toy():
    return painted_toy()


@pytest.fixture(scope="module")
def other():
    return painted_toy(seed=4)


@pytest.mark.parametrize("name", SECTION_METHODS)
def test_it_learns_what_the_image_shows_and_predicts_another_section_without_spots(name, toy, other):
    fitted = fit(name, toy.section, **LEARNING)
    assert min(fitted.history["held_out"]) < 0.7 * fitted.history["held_out"][0]
    assert pearson(predict(fitted, other.section.subset(np.arange(0))), other.truth)[0] > 0.6


@pytest.mark.parametrize("name", SECTION_METHODS)
@pytest.mark.parametrize("faithful", [False, True])
def test_cells_add_up_to_what_was_measured(name, faithful, toy):
    """Whatever the target, and of a network that predicts the mean of every gene."""
    cells = predict(fit(name, toy.section, faithful=faithful, epochs=1, learning_rate=1e-8), toy.section)
    inside = whole_spots(toy.section)
    measured = toy.section.counts[inside].sum(axis=0)
    np.testing.assert_allclose((toy.section.footprint @ cells)[inside].sum(axis=0), measured, rtol=0.1)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_parts_are_of_one_section_and_of_nearly_one_size(points, most):
    places, which = np.array([point[:2] for point in points]), np.array([point[2] for point in points])
    part = parts(places, which, most)
    assert set(part) == set(range(part.max() + 1))
    for section in np.unique(which):
        sizes = np.unique(part[which == section], return_counts=True)[1]
        assert sizes.max() <= most
        assert np.ptp(sizes) <= 1
    assert all(len(np.unique(which[part == one])) == 1 for one in np.unique(part))


def test_parts_lie_side_by_side():
    places = np.stack(np.meshgrid(np.arange(10.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    part = parts(places, np.zeros(30), most=15)
    assert places[part == 0, 0].max() < places[part == 1, 0].min()


def test_positions_are_counted_in_pitches_in_each_section(toy, other):
    section = toy.section
    places = spot_places(section)
    np.testing.assert_array_equal(places.min(axis=0), 0)
    apart = np.hypot(*(section.spots[:, None] - section.spots).T)
    np.testing.assert_allclose(np.hypot(*(places[:, None] - places).T), apart / section.pitch, atol=1e-4)
    joined = join([replace(section, section_name="A"), replace(other.section, section_name="B")])
    own = joined.spot_section == "B"
    np.testing.assert_allclose(spot_places(joined)[own], spot_places(other.section), atol=1e-3)


def test_more_positions_than_embeddings_are_refused(toy):
    with pytest.raises(
        ValueError, match=r"slots=3 are fewer than the \d+ positions across the spots; pass slots=\d+ or"
    ):
        fit("histogene", toy.section, slots=3)


def test_a_batch_is_a_section_or_a_part_of_one(toy, other, monkeypatch):
    seen = []
    monkeypatch.setattr(SectionMethod, "batches", watched(SectionMethod.batches, seen))
    both = join([replace(toy.section, section_name="A"), replace(other.section, section_name="B")])
    fitted = fit("histogene", both, held_out=0.1)
    ((learned, held_out),) = seen
    assert set(learned) == set(held_out) == {0}  # one section to learn from, the other held out
    assert predict(fitted, other.section).shape == other.truth.shape
    fit("histogene", toy.section, batch=10)
    assert np.bincount(seen[1][0]).max() <= 10


def watched(real, seen):
    def batches(self, section, learned, held_out):
        made = real(self, section, learned, held_out)
        seen.append(made)
        return made

    return batches


@pytest.mark.parametrize(("faithful", "groups"), [(False, 4), (True, 1)])
def test_the_lattice_is_predicted_as_sections_as_dense_as_the_spots(toy, faithful, groups, monkeypatch):
    fitted = fit("histogene", toy.section, faithful=faithful, spacing=toy.section.pitch / 2)
    asked = []
    real = section_method._values

    def values(nets, patches, places, points):
        asked.append(places[points])
        return real(nets, patches, places, points)

    monkeypatch.setattr(section_method, "_values", values)
    predict(fitted, toy.section)
    lattice = CoarseLattice.of(toy.section.grid, toy.section.pitch / 2)
    assert len(asked) == groups
    assert sum(map(len, asked)) == len(lattice.points)
    for places in asked:
        apart = np.sqrt(((places[:, None] - places) ** 2).sum(axis=-1))
        np.fill_diagonal(apart, np.inf)
        assert (np.median(apart.min(axis=1)) > 0.8) is not faithful


def test_a_prediction_is_that_of_the_network_at_the_points(toy):
    """Of a lattice as coarse as the spots, all of whose points see one another."""
    method = fit("histogene", toy.section, spacing=toy.section.pitch)
    lattice = CoarseLattice.of(toy.section.grid, toy.section.pitch)
    net = method.section_network(2).eval()
    net.load_state_dict({k.removeprefix("net0/"): torch.as_tensor(v) for k, v in method.arrays.items() if "net0/" in k})
    patches = section_method.ImagePatches(toy.section.raster, lattice.points, 48.0, 8)
    pixels = torch.as_tensor(np.stack([np.moveaxis(patch, -1, 0) for patch in patches]))
    index = toy.section.grid.to_index(lattice.points)
    places = torch.as_tensor((index - index.min(axis=0)) * toy.section.grid.bin_size / toy.section.pitch).float()
    with torch.inference_mode():
        values = np.minimum(net(pixels, places).numpy(), method.arrays["top"])
    rates = np.expm1(np.maximum(values, 0)) / 1e4 * method.arrays["library"] * method.arrays["factor"]
    np.testing.assert_allclose(predict(method, toy.section), lattice.weights(slice(None)) @ rates, rtol=1e-3, atol=1e-6)


def test_ensemble_members_differ(toy):
    two = fit("histogene", toy.section, states=2)
    assert not np.array_equal(two.arrays["net0/embed.weight"], two.arrays["net1/embed.weight"])


def test_the_callers_generator_is_left_alone(toy):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    predict(fit("histogene", toy.section, epochs=1), toy.section)
    assert torch.equal(torch.get_rng_state(), before)
