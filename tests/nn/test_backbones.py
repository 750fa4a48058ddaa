"""Networks of timm by name: what weights they get, and what is refused. None of these has learned anything."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import save_file

from stsr.methods.expected import network
from stsr.nn.backbones import create_backbone, is_model, near_names, weights_file

SMALL = "resnet10t"


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def _no_hub(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file of weights with a classifier, as published ones have, and its network."""
    torch.manual_seed(3)
    model = timm.create_model(SMALL, num_classes=10).eval()
    folder = tmp_path_factory.mktemp("weights")
    save_file(model.state_dict(), folder / "model.safetensors")
    torch.save(model.state_dict(), folder / "model.pth")
    return folder, model


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth", "."])
def test_a_local_file_gives_its_features(published, images, name):
    folder, model = published
    network = create_backbone(SMALL, weights=folder / name, device="cpu").eval()
    assert network(images).shape == (2, network.num_features)
    torch.testing.assert_close(network(images), model.forward_head(model.forward_features(images), pre_logits=True))


def test_outputs_are_an_untrained_linear_layer_on_the_features_of_the_file(published, images):
    folder, model = published
    network = create_backbone(SMALL, weights=folder, num_classes=10).eval()
    assert network(images).shape == (2, 10)
    assert not torch.equal(network.get_classifier().weight, model.get_classifier().weight)
    torch.testing.assert_close(network.forward_features(images), model.forward_features(images))


@pytest.mark.usefixtures("_no_hub")
def test_an_untrained_network_is_drawn_from_torchs_generator(images):
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(create_backbone(SMALL, weights="random", num_classes=4)(images))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.usefixtures("_no_hub")
@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [("vgg16", 785, 137_476_689), ("densenet121", 785, 7_758_481), ("resnet50", 0, 23_508_032)],
)
def test_inside_meta_only_shapes_are_made(name, outputs, parameters):
    """With the numbers of parameters that the papers of DeepSpaCE, ST-Net and DeepPT lead to; weights are not asked for."""
    with torch.device("meta"):
        network = create_backbone(name, num_classes=outputs, device="auto")
    assert all(parameter.is_meta for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.usefixtures("_no_hub")
def test_inside_meta_no_file_is_read_and_no_page_of_the_hub_is_looked_up(tmp_path):
    with torch.device("meta"):
        create_backbone(SMALL, weights=tmp_path / "none.pth")
        with pytest.raises(ValueError, match=r"backbone='hf-hub:user/model' would be looked up on the hub"):
            create_backbone("hf-hub:user/model", weights="random")


@pytest.mark.usefixtures("_no_hub")
def test_arrays_of_a_model_are_checked_without_the_hub():
    shapes = dict(network(lambda: create_backbone(SMALL, num_classes=7), "net0/"))
    assert shapes["net0/fc.weight"].shape == (7, 512)
    assert len(shapes) == len(create_backbone(SMALL, weights="random", num_classes=7).state_dict())


def test_options_reach_timm():
    assert len(create_backbone("vit_tiny_patch16_224", weights="random", options={"depth": 2}).blocks) == 2


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device='cuda:99' is not available"):
        create_backbone(SMALL, weights="random", device="cuda:99")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": None}, "^stem=None is not allowed; pass text of 1 to 200 characters"),
        ({"num_classes": -1}, "^num_classes=-1 is not allowed; pass a whole number from 0"),
        ({"weights": True}, "^weights=True is not allowed; pass a path, None for the published weights, or 'random'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(**({"name": SMALL, "role": "stem"} | arguments))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("densnet121", r"^backbone='densnet121' is no network of timm; did you mean .*densenet121.*\?$"),
        ("!", r"^backbone='!' is no network of timm; pass one of timm.list_models\(\)\.$"),
    ],
)
def test_an_unknown_name_gives_near_ones(name, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(name)


def test_names_may_end_in_that_of_their_weights():
    assert is_model("densenet121")
    assert is_model("densenet121.tv_in1k")
    assert not is_model("densenet")


def test_near_names_are_sorted_by_likeness():
    assert near_names("vgg17", ["resnet18", "vgg16_bn", "vgg16"]) == ["vgg16", "vgg16_bn"]


@pytest.mark.parametrize("role", ["backbone", "stem"])
def test_a_file_of_another_network_is_refused_before_one_is_made(published, monkeypatch, role):
    made = []
    real = timm.create_model

    def create_model(*args, **kwargs):
        made.append(torch.get_default_device().type)
        return real(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", create_model)
    message = rf"are not of {role} 'resnet18': \d+ tensors are missing, left over or of another shape, such as 'conv1"
    with pytest.raises(ValueError, match=message):
        create_backbone("resnet18", weights=published[0], role=role)
    assert made == ["meta"]


class Evil:
    """Unpickling it would run code."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("kind", ["truncated.safetensors", "text.pth", "code.pth"])
def test_a_file_that_holds_no_plain_tensors_is_refused_and_runs_nothing(tmp_path, kind, capsys):
    file = tmp_path / kind
    if kind == "code.pth":
        torch.save({"weight": Evil()}, file)
    else:
        file.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=rf"weights='.*{kind}' cannot be read as plain tensors"):
        create_backbone(SMALL, weights=file)
    assert "run" not in capsys.readouterr().out


def _refuse(monkeypatch, error):
    def create_model(*args, **kwargs):
        raise error

    monkeypatch.setattr(timm, "create_model", create_model)


def test_no_connection_says_so(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    _refuse(monkeypatch, LocalEntryNotFoundError("offline"))
    with pytest.raises(ConnectionError, match=r"^backbone='resnet10t' could not be downloaded .* pass a local file"):
        create_backbone(SMALL)
    with pytest.raises(PermissionError, match=r"ask for access on the page of resnet10t"):
        create_backbone(SMALL, gated=True)


def test_a_gated_page_says_how_to_get_in(monkeypatch):
    from huggingface_hub.errors import GatedRepoError

    _refuse(monkeypatch, GatedRepoError("401", response=SimpleNamespace(headers={}, request=None)))
    with pytest.raises(PermissionError, match="hf auth login") as caught:
        create_backbone("hf-hub:user/model", title="ours")
    assert str(caught.value).startswith("backbone='ours' could not be downloaded (GatedRepoError)")


def test_what_timm_cannot_make_is_refused_in_its_words():
    with pytest.raises(ValueError, match="backbone='resnet18.nonsense' cannot be made by timm: Invalid pretrained tag"):
        create_backbone("resnet18.nonsense")


def test_weights_file_prefers_safetensors(tmp_path):
    for name in ("model.pth", "pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).touch()
    assert weights_file(tmp_path).name == "model.safetensors"


def test_weights_file_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="is neither a file nor a folder with a .safetensors"):
        weights_file(tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"holds 2 \*\.pth files; name the one to load"):
        weights_file(tmp_path)
