"""The published encoders that stsr knows by name: the source of their weights and their network.

``network`` and ``options`` build the network in timm without asking the hub, so that a local file of weights is
enough. All of them are trained at 0.5 µm/px.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stsr.encoders.base import EncoderInfo


@dataclass(frozen=True)
class Published:
    """A published encoder.

    Parameters
    ----------
    info
        Its description.
    network
        Name of its network in timm.
    options
        Options of its network that differ from timm's defaults.
    swiglu
        Whether its blocks have gated feed-forward layers (SwiGLU) where timm's have plain ones.
    """

    info: EncoderInfo
    network: str
    options: dict[str, Any] = field(default_factory=dict)
    swiglu: bool = False


_BIOPTIMUS_MEAN, _BIOPTIMUS_STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_LUNIT_MEAN, _LUNIT_STD = (0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)
_VIT = {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True}

PUBLISHED: tuple[Published, ...] = (
    Published(
        EncoderInfo(
            name="uni",
            title="UNI, ViT-L/16 (Chen 2024)",
            dim=1024,
            tile=224,
            patch=16,
            prefix=1,
            licence="CC-BY-NC-ND-4.0",
            gated=True,
            source="hf-hub:MahmoodLab/uni",
        ),
        "vit_large_patch16_224",
        _VIT,
    ),
    Published(
        EncoderInfo(
            name="uni2-h",
            title="UNI 2, ViT-H/14 (Mahmood lab 2025)",
            dim=1536,
            tile=224,
            patch=14,
            prefix=9,
            licence="CC-BY-NC-ND-4.0",
            gated=True,
            source="hf-hub:MahmoodLab/UNI2-h",
        ),
        "vit_giant_patch14_224",
        {
            **_VIT,
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "no_embed_class": True,
            "reg_tokens": 8,
        },
        swiglu=True,
    ),
    Published(
        EncoderInfo(
            name="virchow",
            title="Virchow, ViT-H/14 (Vorontsov 2024)",
            dim=1280,
            tile=224,
            patch=14,
            prefix=1,
            licence="Apache-2.0",
            gated=True,
            source="hf-hub:paige-ai/Virchow",
        ),
        "vit_huge_patch14_224",
        {**_VIT, "mlp_ratio": 5.3375},
        swiglu=True,
    ),
    Published(
        EncoderInfo(
            name="virchow2",
            title="Virchow 2, ViT-H/14 (Zimmermann 2024)",
            dim=1280,
            tile=224,
            patch=14,
            prefix=5,
            licence="CC-BY-NC-ND-4.0",
            gated=True,
            source="hf-hub:paige-ai/Virchow2",
        ),
        "vit_huge_patch14_224",
        {**_VIT, "mlp_ratio": 5.3375, "reg_tokens": 4},
        swiglu=True,
    ),
    Published(
        EncoderInfo(
            name="gigapath",
            title="Prov-GigaPath tile encoder, ViT-g/16 (Xu 2024)",
            dim=1536,
            tile=224,
            patch=16,
            prefix=1,
            licence="Apache-2.0 with conditions",
            gated=True,
            source="hf-hub:prov-gigapath/prov-gigapath",
        ),
        "vit_giant_patch14_dinov2",
        {**_VIT, "patch_size": 16, "mlp_ratio": 5.33334},
    ),
    Published(
        EncoderInfo(
            name="h-optimus-0",
            title="H-optimus-0, ViT-g/14 (Saillard 2024)",
            dim=1536,
            tile=224,
            patch=14,
            prefix=5,
            licence="Apache-2.0",
            source="hf-hub:bioptimus/H-optimus-0",
            mean=_BIOPTIMUS_MEAN,
            std=_BIOPTIMUS_STD,
        ),
        "vit_giant_patch14_reg4_dinov2",
        {**_VIT, "dynamic_img_size": False},
    ),
    Published(
        EncoderInfo(
            name="h-optimus-1",
            title="H-optimus-1, ViT-g/14 (Bioptimus 2025)",
            dim=1536,
            tile=224,
            patch=14,
            prefix=5,
            licence="CC-BY-NC-ND-4.0",
            gated=True,
            source="hf-hub:bioptimus/H-optimus-1",
            mean=_BIOPTIMUS_MEAN,
            std=_BIOPTIMUS_STD,
        ),
        "vit_giant_patch14_reg4_dinov2",
        {**_VIT, "dynamic_img_size": False},
    ),
    Published(
        EncoderInfo(
            name="h0-mini",
            title="H0-mini, ViT-B/14 distilled from H-optimus-0 (Filiot 2025)",
            dim=768,
            tile=224,
            patch=14,
            prefix=5,
            licence="CC-BY-NC-ND-4.0",
            gated=True,
            source="hf-hub:bioptimus/H0-mini",
            mean=_BIOPTIMUS_MEAN,
            std=_BIOPTIMUS_STD,
        ),
        "vit_base_patch14_reg4_dinov2",
        {**_VIT, "mlp_ratio": 5.33334},
        swiglu=True,
    ),
    Published(
        EncoderInfo(
            name="lunit-s8",
            title="Lunit DINO, ViT-S/8 (Kang 2023)",
            dim=384,
            tile=224,
            patch=8,
            prefix=1,
            licence="non-commercial",
            source="hf-hub:1aurent/vit_small_patch8_224.lunit_dino",
            mean=_LUNIT_MEAN,
            std=_LUNIT_STD,
        ),
        "vit_small_patch8_224",
        {"dynamic_img_size": True},
    ),
    Published(
        EncoderInfo(
            name="lunit-s16",
            title="Lunit DINO, ViT-S/16 (Kang 2023)",
            dim=384,
            tile=224,
            patch=16,
            prefix=1,
            licence="non-commercial",
            source="hf-hub:1aurent/vit_small_patch16_224.lunit_dino",
            mean=_LUNIT_MEAN,
            std=_LUNIT_STD,
        ),
        "vit_small_patch16_224",
        {"dynamic_img_size": True},
    ),
    Published(
        EncoderInfo(
            name="resnet50",
            title="ResNet-50 trained on photographs (He 2016)",
            dim=2048,
            tile=224,
            patch=32,
            centre=0.5,
            licence="BSD-3-Clause",
            source="resnet50.tv_in1k",
        ),
        "resnet50",
    ),
)
