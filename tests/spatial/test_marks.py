"""What stsr wrote is known as such wherever the element goes, and what was changed by hand is not."""

import json

import numpy as np
import pytest
import spatialdata as sd
from spatialdata.models import Image2DModel, Labels2DModel, ShapesModel
from spatialdata.transformations import Identity, Scale, get_transformation
from toys.spatial import toy_image, toy_labels, toy_sdata, toy_table

from stsr.spatial import create_store, image_pyramid, made, note, open_store, put

HERE = {"toy": sd.transformations.Identity(), "global": sd.transformations.Identity()}
FROM = {"encoder": "texture", "nested": [1, None, {"a": 0.5}]}
NAMES = ["grid", "features", "he", "outline", "sr"]


def elements() -> dict:
    """One of each kind, placed on the toy section."""
    pixels = toy_image(600, 600).transpose(2, 0, 1)
    features = np.random.default_rng(0).random((4, 300, 300)).astype(np.float16)
    return {
        "grid": Labels2DModel.parse(
            np.arange(90000, dtype=np.uint32).reshape(300, 300), dims=("y", "x"), transformations=HERE
        ),
        "features": Image2DModel.parse(features, dims=("c", "y", "x"), transformations=HERE),
        "he": image_pyramid(Image2DModel.parse(pixels, dims=("c", "y", "x")).data, HERE),
        "outline": ShapesModel.parse(np.array([[30.0, 50], [250, 200]]), geometry=0, radius=9.0, transformations=HERE),
        "sr": toy_table(),
    }


def filled(sdata: sd.SpatialData) -> sd.SpatialData:
    for name, element in elements().items():
        put(sdata, name, element, made=FROM, fill=(lambda _: None) if name == "sr" else None)
    return sdata


@pytest.fixture(scope="module")
def memory():
    return filled(toy_sdata())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return filled(create_store(toy_sdata(), tmp_path_factory.mktemp("marks") / "a.zarr"))


def known(sdata: sd.SpatialData) -> list[str]:
    return [name for name in NAMES if name in sdata and made(sdata, name) == FROM]


@pytest.mark.parametrize("where", ["memory", "stored"])
def test_what_was_written_is_known(where, request):
    sdata = request.getfixturevalue(where)
    assert known(sdata) == NAMES
    assert made(sdata, "toy") is made(sdata, "table") is made(sdata, "nowhere") is None


@pytest.mark.parametrize("read", [sd.read_zarr, open_store])
def test_another_handle_knows_it(stored, read):
    assert known(read(stored.path)) == NAMES


@pytest.mark.parametrize("where", ["memory", "stored"])
def test_a_store_written_by_spatialdata_knows_it(where, request, tmp_path):
    request.getfixturevalue(where).write(tmp_path / "b.zarr", update_sdata_path=False)
    assert known(sd.read_zarr(tmp_path / "b.zarr")) == NAMES
    copied = open_store(tmp_path / "b.zarr")
    assert known(copied) == NAMES
    put(copied, "grid", toy_labels(), overwrite=True, made={"other": 1})
    assert made(sd.read_zarr(copied.path), "grid") == {"other": 1}
    assert known(sd.read_zarr(copied.path)) == NAMES[1:]


@pytest.mark.parametrize("where", ["memory", "stored"])
def test_a_new_store_made_of_it_knows_it(where, request, tmp_path):
    assert known(create_store(request.getfixturevalue(where), tmp_path / "b.zarr")) == NAMES


@pytest.mark.parametrize("how", ["crop", "polygon", "subset", "deepcopy"])
@pytest.mark.parametrize("where", ["memory", "stored"])
def test_crops_and_copies_know_it(where, how, request):
    sdata = request.getfixturevalue(where)
    with_coordinates = [name for name in sdata.images if "x" not in sdata.images[name].coords and where == "memory"]
    if with_coordinates and how in ("crop", "polygon"):
        sdata = sdata.subset([name for name in NAMES if name != "he"])  # a pyramid in memory has no coordinates
    if how == "crop":
        box = {"min_coordinate": [20, 20], "max_coordinate": [200, 200], "target_coordinate_system": "toy"}
        derived = sd.bounding_box_query(sdata, axes=("x", "y"), filter_table=False, **box)
    elif how == "polygon":
        from shapely import box

        derived = sd.polygon_query(sdata, box(20, 20, 200, 200), target_coordinate_system="toy", filter_table=False)
    elif how == "subset":
        derived = sdata.subset([name for name in NAMES if name in sdata], filter_tables=False)
    else:
        derived = sd.deepcopy(sdata)
    assert known(derived) == [name for name in NAMES if name in derived]
    assert {"grid", "features", "sr"} <= {*known(derived)}


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_what_was_changed_by_hand_is_not_stsr_s(where, tmp_path):
    sdata = toy_sdata() if where == "memory" else create_store(toy_sdata(), tmp_path / "a.zarr")
    filled(sdata)
    mask = sdata["grid"].copy(data=sdata["grid"].data * 0 + 1)
    sdata["grid"] = mask
    sdata["features"] = Image2DModel.parse(
        np.zeros((4, 300, 300), np.float16), dims=("c", "y", "x"), transformations=HERE
    )
    assert known(sdata) == ["he", "outline", "sr"]
    for name in ("grid", "features"):
        with pytest.raises(ValueError, match=rf"key_added='{name}' is the name of another element"):
            put(sdata, name, elements()[name], overwrite=True)
    assert sdata["grid"].data.max().compute() == 1


def test_what_others_wrote_under_the_name_is_not_stsr_s(tmp_path):
    sdata = filled(create_store(toy_sdata(), tmp_path / "a.zarr"))
    for name in NAMES:
        del sdata[name]
        sdata.delete_element_from_disk(name)
        sdata[name] = elements()[name] if name != "sr" else sdata["table"].copy()
        if name in ("grid", "features"):
            sdata[name] = sdata[name].copy(data=sdata[name].data + 1)
        sdata.write_element(name)
    assert known(sd.read_zarr(tmp_path / "a.zarr")) == ["he"]  # the same size: pyramids are not looked into
    sdata = sd.read_zarr(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="stsr did not write"):
        put(sdata, "grid", toy_labels(), overwrite=True)


def test_a_column_added_by_the_user_keeps_the_table_stsr_s(tmp_path):
    sdata = filled(create_store(toy_sdata(), tmp_path / "a.zarr"))
    sdata["sr"].obs["cluster"] = 1
    sdata["mine"] = sdata["sr"].copy()
    sdata.write_element("mine")
    sdata.delete_element_from_disk("sr")
    sdata.write_element("sr")
    again = sd.read_zarr(tmp_path / "a.zarr")
    assert made(again, "sr") == FROM
    assert "cluster" in again["sr"].obs
    assert made(again, "mine") is None


def test_a_crop_shares_no_record_with_its_original(stored):
    box = {"min_coordinate": [20, 20], "max_coordinate": [200, 200], "target_coordinate_system": "toy"}
    before = json.dumps(stored.attrs)
    crop = sd.bounding_box_query(stored, axes=("x", "y"), **box)
    put(crop, "mine", toy_labels())
    note(crop, image_qc={"focus": 1})
    assert json.dumps(stored.attrs) == before
    assert "image_qc" not in sd.read_zarr(stored.path).attrs["stsr"]
    note(stored, other=2)
    assert "other" not in crop.attrs["stsr"]
    crop["grid"] = Labels2DModel.parse(np.ones((180, 180), np.uint32), dims=("y", "x"), transformations=HERE)
    assert made(crop, "grid") is None
    assert made(stored, "grid") == FROM


def test_a_note_keeps_no_hold_on_what_it_was_given():
    sdata, figures = toy_sdata(), {"focus": [1]}
    note(sdata, image_qc=figures)
    figures["focus"].append(2)
    assert sdata.attrs["stsr"]["image_qc"] == {"focus": [1]}
    made_from = {"a": [1]}
    put(sdata, "grid", toy_labels(), made=made_from)
    made_from["a"].append(2)
    made(sdata, "grid")["a"].append(3)
    assert made(sdata, "grid") == {"a": [1]}


def test_one_element_under_two_names():
    sdata = toy_sdata()
    put(sdata, "one", toy_labels(), made={"n": 1})
    put(sdata, "two", sdata["one"], made={"n": 2})
    assert (made(sdata, "one"), made(sdata, "two")) == ({"n": 1}, {"n": 2})


def test_a_store_of_the_version_before(tmp_path):
    sdata = toy_sdata()
    sdata["features"], sdata["grid"], sdata["mine"] = elements()["features"], toy_labels(), toy_labels()
    sdata.attrs["stsr"] |= {
        "elements": ["features", "grid"],
        "features": {"features": {"encoder": "uni", "made_from": "abc"}},
    }
    sdata.write(tmp_path / "a.zarr")
    sdata = open_store(tmp_path / "a.zarr")
    assert made(sdata, "features") == {"encoder": "uni", "made_from": "abc"}
    assert (made(sdata, "grid"), made(sdata, "mine")) == ({}, None)
    put(sdata, "grid", toy_labels(7), overwrite=True, made={"n": 1})
    assert made(sd.read_zarr(sdata.path), "grid") == {"n": 1}
    assert made(sd.read_zarr(sdata.path), "features")["encoder"] == "uni"


def test_a_crop_that_spatialdata_wrote_is_known_but_not_a_mask_drawn_on_it(tmp_path):
    """Of crops of crops too; SpatialData writes no attributes of rasters."""
    rows, cols = np.mgrid[0:300, 0:280]
    disc = (rows - 150) ** 2 + (cols - 140) ** 2 < 120**2
    place = {"toy": Scale([2, 2], axes=("x", "y")), "global": Identity()}
    sdata = toy_sdata()
    put(sdata, "tissue", Labels2DModel.parse(disc.astype(np.uint8), dims=("y", "x"), transformations=place))
    ids = np.where(disc, np.cumsum(disc).reshape(disc.shape), 0).astype(np.uint32)
    put(sdata, "grid", Labels2DModel.parse(ids, dims=("y", "x"), transformations=place))
    for name, low in (("a", 31.3), ("b", 72.9)):
        box = {"min_coordinate": [low, low], "max_coordinate": [420, 400], "target_coordinate_system": "toy"}
        sd.bounding_box_query(sdata, axes=("x", "y"), **box).write(tmp_path / name)
        sdata = sd.read_zarr(tmp_path / name)
        assert {"tissue", "grid"} <= {name for name in sdata.labels if made(sdata, name) is not None}
    for name in ("tissue", "grid"):
        drawn = sdata[name].data.compute()
        drawn[drawn.shape[0] // 2] = 0
        moved = get_transformation(sdata[name], get_all=True)
        del sdata[name]
        sdata.delete_element_from_disk(name)
        sdata[name] = Labels2DModel.parse(drawn, dims=("y", "x"), transformations=moved)
        assert made(sdata, name) is None
        sdata.write_element(name)
        assert made(sd.read_zarr(tmp_path / "b"), name) is None
