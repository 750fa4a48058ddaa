"""The platforms of ``stsr run``: for each, its own options and its reader."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stsr.arguments import ANGLE, MPP
from stsr.cli.arguments import argument, path
from stsr.options import Number

if TYPE_CHECKING:
    from spatialdata import SpatialData


INPUT_BIN_SIZE = Number(1, 1000)
"""Rule for a bin size in µm; each reader checks which sizes it supports."""


@dataclass(frozen=True)
class Platform:
    """A kind of section that can be read from a folder.

    Parameters
    ----------
    name
        Its name on the command line.
    title
        Its description, for ``stsr run --help``.
    folder
        What the folder holds.
    add_options
        Adds the options that only some platforms have.
    read
        Reads the section, given the parsed arguments and the keywords ``store``, ``dataset_id`` and ``overwrite``.
    """

    name: str
    title: str
    folder: str
    add_options: Callable[[argparse.ArgumentParser], None]
    read: Callable[..., SpatialData]


def visium_options(parser: argparse.ArgumentParser) -> None:
    """Options for Visium; the image is not in the folder, so it must be named."""
    parser.add_argument("--fullres-image", required=True, metavar="FILE", type=path, help="full-resolution H&E")
    _add_mpp(parser, "the spots' pitch")
    _add_angle(parser)


def read_visium(args: argparse.Namespace, **target: Any) -> SpatialData:
    """Read spots of 55 µm."""
    import stsr

    return stsr.pp.read_visium(args.folder, fullres_image=args.fullres_image, mpp=args.mpp, **target)


def visium_hd_options(parser: argparse.ArgumentParser) -> None:
    """Options for Visium HD."""
    _add_image(parser, "the one in microscope_image/")
    _add_input_bin_size(parser)
    _add_mpp(parser, "the bins")


def read_visium_hd(args: argparse.Namespace, **target: Any) -> SpatialData:
    """Read measured bins."""
    import stsr

    return stsr.pp.read_visium_hd(
        args.folder, fullres_image=args.fullres_image, bin_size=args.input_bin_size, mpp=args.mpp, **target
    )


def xenium_options(parser: argparse.ArgumentParser) -> None:
    """Options for Xenium; the alignment places the image and gives its µm per pixel."""
    _add_image(parser, "the folder's *he_image.ome.tif")
    parser.add_argument(
        "--alignment",
        metavar="CSV",
        type=path,
        help="3 x 3 matrix from pixels of the H&E to the morphology image's (default: the folder's *he_imagealignment.csv)",
    )
    _add_input_bin_size(parser)


def read_xenium(args: argparse.Namespace, **target: Any) -> SpatialData:
    """Read transcripts, binned into squares."""
    import stsr

    return stsr.pp.read_xenium(
        args.folder,
        fullres_image=args.fullres_image,
        alignment=args.alignment,
        bin_size=args.input_bin_size,
        **target,
    )


def st_options(parser: argparse.ArgumentParser) -> None:
    """Options for legacy ST; a folder holds several sections, so one must be named."""
    parser.add_argument("--section", required=True, metavar="NAME", help="section, such as B4 for B4.tsv.gz")
    _add_image(parser, "NAME.jpg, .png or .tif")
    _add_mpp(parser, "the array's pitch")
    _add_angle(parser)


def read_st(args: argparse.Namespace, **target: Any) -> SpatialData:
    """Read spots of 100 µm."""
    import stsr

    return stsr.pp.read_st(args.folder, section=args.section, fullres_image=args.fullres_image, mpp=args.mpp, **target)


PLATFORMS = (
    Platform("visium", "spots of a Visium slide", "Space Ranger's outs/", visium_options, read_visium),
    Platform("visium-hd", "bins of a Visium HD slide", "Space Ranger's outs/", visium_hd_options, read_visium_hd),
    Platform("xenium", "transcripts of a Xenium run", "folder with experiment.xenium", xenium_options, read_xenium),
    Platform("st", "spots of legacy Spatial Transcriptomics", "folder with NAME.tsv.gz", st_options, read_st),
)


def _add_image(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--fullres-image", metavar="FILE", type=path, help=f"full-resolution H&E (default: {default})")


def _add_input_bin_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input-bin-size",
        type=argument(INPUT_BIN_SIZE),
        default=16.0,
        help="side in µm of the bins to learn from, the section's spots (default: %(default)s)",
    )


def _add_mpp(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--mpp", type=argument(MPP), help=f"µm per pixel of the image (default: from {default})")


def _add_angle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--angle", type=argument(ANGLE), default=0.0, help="rotation of the grid in degrees (default: %(default)s)"
    )
