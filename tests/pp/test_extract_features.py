"""Features of every cell: where they lie, what is kept, what is refused."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

import stsr
from stsr.encoders.texture import TextureEncoder
from stsr.geometry import Grid
from stsr.pp._feature_raster import write_features
from stsr.pp.provenance import made_of
from stsr.spatial import labels_to_grid, made, open_store, read_raster
from stsr.spatial.store import create_store

raster = sys.modules[write_features.__module__]
KEY = "features_texture_016um"


@pytest.fixture(scope="module")
def prepared():
    """A calibrated section with a grid of 16 µm, in memory."""
    sdata = stsr.datasets.synthetic_section(size=(500, 450), n_genes=10, seed=0)
    stsr.pp.calibrate_image(sdata, stain=None)
    stsr.pp.make_grid(sdata, bin_size=16)
    return sdata


@pytest.fixture
def store(prepared, tmp_path):
    """A copy of the section on disk."""
    return create_store(prepared, tmp_path / "section.zarr")


class Colour:
    """Mean colour of 16 px patches, as an object with dense features."""

    name = "colour"
    grid_size = (14, 14)
    scale = 1.0

    def get_transform(self):
        """From a tile (h, w, 3) to what the model takes."""
        import torch

        return lambda tile: torch.from_numpy(tile).permute(2, 0, 1).float()

    def encode_image_dense(self, images):
        """Mean colour of every patch, scaled."""
        import torch

        return torch.nn.functional.avg_pool2d(images, 16).flatten(2).mT * self.scale


def run(sdata, **options):
    return stsr.pp.extract_features(sdata, bin_size=16, progress=False, **options)


def test_the_raster_holds_the_encoders_features_on_the_grid(store):
    assert run(store) == KEY
    element, grid = store[KEY], labels_to_grid(store, "grid_016um")
    expected = TextureEncoder().encode_rows(read_raster(store, "he"), grid, slice(None))
    expected[:, ~grid.mask] = 0
    np.testing.assert_array_equal(element.data.compute(), expected.astype(np.float16))
    assert element.dims == ("c", "y", "x")
    assert element.dtype == np.float16
    assert list(element.c.values) == list(TextureEncoder.names)
    again = open_store(store.path)
    np.testing.assert_array_equal(again[KEY].data.compute(), element.data.compute())


def test_the_raster_lies_where_the_grid_lies(store):
    from spatialdata.transformations import get_transformation

    run(store)
    for system in ("synthetic", "global"):
        matrices = [
            get_transformation(store[name], system).to_affine_matrix(("x", "y"), ("x", "y"))
            for name in (KEY, "grid_016um")
        ]
        np.testing.assert_allclose(*matrices)


def test_bands_change_nothing_and_chunks_are_whole(store, monkeypatch):
    whole = store[run(store)].data.compute()
    monkeypatch.setattr(raster, "BAND_BYTES", 1)
    key = run(store, key_added="banded")
    np.testing.assert_array_equal(store[key].data.compute(), whole)
    assert store[key].data.chunksize[1] == 8


def test_values_reach_the_disk_as_they_are_computed(store, monkeypatch):
    starts = []

    class Target:
        def __setitem__(self, index, block):
            starts.append(index[1].start)
            assert block.dtype == np.float16

    grid = labels_to_grid(store, "grid_016um")
    monkeypatch.setattr(raster, "BAND_BYTES", 1)
    raster.encode(Target(), TextureEncoder(), read_raster(store, "he"), grid, False)
    assert starts == list(range(0, grid.shape[0], 8))


def test_memory_and_disk_agree(prepared, store):
    try:
        run(prepared)
        np.testing.assert_array_equal(prepared[KEY].data.compute(), store[run(store)].data.compute())
    finally:
        del prepared[KEY]


def test_the_same_again_is_cached(store, caplog, monkeypatch):
    run(store)
    known = made_of(store, KEY)
    store = open_store(store.path)
    assert made_of(store, KEY) == known
    monkeypatch.setattr("stsr.encoders.create", lambda *args, **kwargs: pytest.fail("computed again"))
    with caplog.at_level(logging.INFO, logger="stsr"):
        assert run(store) == run(store, overwrite=True) == KEY
    assert f"{KEY}: cached" in caplog.text


def test_another_encoder_image_or_grid_under_the_same_name_needs_overwrite(store):
    run(store)
    message = f"key_added='{KEY}' exists already and was made from another image, grid or encoder; pass overwrite=True"
    with pytest.raises(ValueError, match=message):
        run(store, encoder="test_vit", weights="random", device="cpu", key_added=KEY)
    before = store[KEY].data.compute()
    stsr.pp.calibrate_image(store, stain="reinhard", overwrite=True)
    with pytest.raises(ValueError, match=message):
        run(store)
    np.testing.assert_array_equal(store[KEY].data.compute(), before)
    run(store, overwrite=True)
    assert not np.array_equal(store[KEY].data.compute(), before)
    run(store)  # and is known again


def test_an_interrupted_run_leaves_the_store_as_it_was(store, monkeypatch):
    run(store)
    before, known = store[KEY].data.compute(), made(store, KEY)
    stsr.pp.make_grid(store, bin_size=16, angle=5, overwrite=True)

    def encode_rows(self, raster, grid, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(TextureEncoder, "encode_rows", encode_rows)
    with pytest.raises(KeyboardInterrupt):
        run(store, overwrite=True)
    again = open_store(store.path)
    np.testing.assert_array_equal(again[KEY].data.compute(), before)
    assert made(again, KEY) == known
    assert not list(store.path.parent.glob(".*stsr-*"))


def test_missing_steps_are_run_with_their_defaults(caplog):
    sdata = stsr.datasets.synthetic_section(size=(450, 450), n_genes=5, seed=1)
    with caplog.at_level(logging.INFO, logger="stsr"):
        key = stsr.pp.extract_features(sdata, bin_size=32, progress=False)
    assert key == "features_texture_032um"
    assert {"he", "tissue", "grid_032um", key} <= {name for _, name, _ in sdata.gen_elements()}
    assert "calibrate_image runs with its defaults" in caplog.text
    assert "make_grid runs with bin_size=32" in caplog.text


def test_a_grid_that_is_not_there_is_named(store):
    with pytest.raises(KeyError, match=r"grid='grid_999um' not found; sdata holds the labels .*grid_016um"):
        stsr.pp.extract_features(store, grid="grid_999um")


def test_an_object_is_an_encoder_too_and_never_taken_as_known(store):
    assert run(store, encoder=Colour(), device="cpu") == "features_colour_016um"
    grid = labels_to_grid(store, "grid_016um")
    values = store["features_colour_016um"].data.compute()
    assert values.shape == (3, *grid.shape)
    assert values[:, grid.mask].min() > 20
    known = made_of(store, "features_colour_016um")
    assert (known.encoder.name, known.encoder.weights, known.encoder.checksum, known.source) == (
        "colour",
        "own",
        None,
        None,
    )
    with pytest.raises(ValueError, match="exists already .* the object has neither identity nor state_dict"):
        run(store, encoder=Colour(), device="cpu")
    run(store, encoder=Colour(), device="cpu", overwrite=True)


def test_a_small_vision_transformer_runs_end_to_end(store):
    key = run(store, encoder="timm:test_vit", weights="random", device="cpu")
    assert key == "features_test-vit_016um"
    assert store[key].shape[0] == 64
    assert made_of(store, key).encoder.weights == "random"


def test_values_beyond_float16_are_clipped(store):
    model = Colour()
    model.scale = 1e4
    values = store[run(store, encoder=model, device="cpu")].data.compute()
    assert values.max() == np.finfo(np.float16).max
    assert np.isfinite(values).all()


def test_features_that_are_not_numbers_are_refused(store):
    model = Colour()
    model.scale = float("nan")
    with pytest.raises(ValueError, match="encoder='colour' gives features that are not numbers"):
        run(store, encoder=model, device="cpu")
    assert "features_colour_016um" not in open_store(store.path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "textur"}, "encoder='textur' is not known; did you mean texture"),
        ({"encoder": "uni", "weights": "nowhere"}, "weights='nowhere' is neither a file nor a folder"),
        ({"grid": "grid_999um"}, "grid='grid_999um' not found"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(options, message):
    sdata = stsr.datasets.synthetic_section(size=(450, 450), n_genes=5)
    before = {name for _, name, _ in sdata.gen_elements()}
    with pytest.raises((ValueError, KeyError), match=message):
        run(sdata, **options)
    assert {name for _, name, _ in sdata.gen_elements()} == before


@pytest.mark.parametrize("dim", [67, 384, 2048])
@pytest.mark.parametrize("shape", [(20, 30), (900, 800), (3000, 6000)])
def test_bands_fit_in_memory_and_are_whole_chunks(dim, shape):
    band, (channels, height, width) = raster.layout(dim, Grid(np.eye(3), np.ones(shape, dtype=bool)))
    assert channels == dim
    assert band % height == 0 or band > shape[0]
    assert 4 * dim * band * shape[1] <= max(raster.BAND_BYTES, 4 * dim * 8 * shape[1])
    assert 2 * dim * height * width <= raster.CHUNK_BYTES
    assert -(-shape[1] // width) * width - shape[1] < width // 2 or width == shape[1]
