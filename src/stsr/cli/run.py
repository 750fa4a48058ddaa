"""``stsr run``: the whole pipeline from a vendor folder to the super-resolved table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import ALL, BIN_SIZE, GENES, SEED, TARGET_MPP, Device
from stsr.cli.arguments import argument, path
from stsr.cli.platforms import PLATFORMS
from stsr.cli.steps import Steps, check_vacant
from stsr.options import Text

if TYPE_CHECKING:
    from spatialdata import SpatialData


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr run`` with a command for each platform."""
    command = commands.add_parser("run", help="super-resolve your own section")
    platforms = command.add_subparsers(title="platforms", metavar="PLATFORM", required=True)
    for platform in PLATFORMS:
        parser = platforms.add_parser(
            platform.name,
            parents=[common],
            help=platform.title,
            description=f"Read {platform.title}, super-resolve them and write it all to one SpatialData store.",
        )
        parser.add_argument("folder", metavar="FOLDER", type=path, help=platform.folder)
        parser.add_argument("--out", required=True, metavar="ZARR", type=path, help="SpatialData store to write")
        platform.add_options(parser)
        add_options(parser)
        parser.set_defaults(handler=run, read=platform.read)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all platforms share."""
    parser.add_argument("--dataset-id", metavar="NAME", help="name of the section (default: from the folder)")
    parser.add_argument(
        "--target-mpp", type=argument(TARGET_MPP), default=0.5, help="µm per pixel to work at (default: %(default)s)"
    )
    parser.add_argument(
        "--stain",
        choices=("macenko", "reinhard", "none"),
        default="reinhard",
        help="normalisation (default: %(default)s)",
    )
    parser.add_argument(
        "--tissue",
        metavar="GEOJSON",
        type=path,
        help="where the tissue lies: polygons in pixels of the full-resolution image (default: detected in the image)",
    )
    parser.add_argument(
        "--genes",
        metavar="FILE|N",
        default="1000",
        help="genes, one a line; or how many; or 'all' (default: %(default)s)",
    )
    parser.add_argument("--encoder", default="texture", help="see 'stsr encoders' (default: %(default)s)")
    parser.add_argument(
        "--weights", metavar="FILE", type=argument(Text(4096)), help="weights of the encoder (default: from the hub)"
    )
    parser.add_argument("--method", default="cross_attention", help="see 'stsr methods' (default: %(default)s)")
    parser.add_argument(
        "--option", metavar="KEY=VALUE", action="append", default=[], help="an option of the method; may be repeated"
    )
    parser.add_argument(
        "--bin-size", type=argument(BIN_SIZE), default=8.0, help="side of a grid cell in µm (default: %(default)s)"
    )
    parser.add_argument("--seed", type=argument(SEED), default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--device",
        type=argument(Device()),
        default="auto",
        help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)",
    )
    parser.add_argument("--model-out", metavar="FILE", type=path, help="also save the fitted model (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace what --out and --model-out name")


def run(args: argparse.Namespace) -> None:
    """Read a section, super-resolve it and write it all to one SpatialData store."""
    import stsr
    from stsr import encoders, methods
    from stsr.constants import table_key
    from stsr.nn.training.device import check_device

    # All arguments are checked before anything is read or replaced.
    options = parse_options(args.option, args.method)
    genes = parse_genes(args.genes)
    tissue = read_tissue(args.tissue)
    check_device(args.device)
    needs = methods.create(args.method, options).info.needs
    if "features" in needs:
        encoders.create(args.encoder, weights=args.weights, device="cpu")
    check_vacant("--out", args.out, args.overwrite)
    check_vacant("--model-out", args.model_out, args.overwrite)
    check_model_out(args.model_out, args.out, args.overwrite)

    steps = Steps(quiet=args.quiet)
    with steps(f"reading {args.folder}"):
        sdata = args.read(args, store=args.out, dataset_id=args.dataset_id, overwrite=args.overwrite)
    with steps("calibrating the image"):
        stain = None if args.stain == "none" else args.stain
        stsr.pp.calibrate_image(sdata, target_mpp=args.target_mpp, stain=stain, tissue=tissue)
    with steps(f"laying a grid of {args.bin_size:g} µm cells over the tissue"):
        grid = lay_grid(sdata, args)
    features = None
    if "features" in needs:
        with steps(f"extracting {args.encoder} features"):
            features = stsr.pp.extract_features(
                sdata,
                encoder=args.encoder,
                grid=grid,
                weights=args.weights,
                device=args.device,
                progress=steps.bars,
            )
    with steps(f"super-resolving with {args.method}"):
        model = stsr.tl.fit_super_resolution(
            sdata,
            method=args.method,
            genes=genes,
            grid=grid,
            features=features,
            options=options,
            model_out=args.model_out,
            seed=args.seed,
            device=args.device,
            progress=steps.bars,
            overwrite=args.overwrite,
        )
    key = table_key(model.bin_size)
    n_cells, n_genes = sdata[key].shape
    steps.say(
        f"{args.out} now holds {n_cells:,} cells x {n_genes:,} genes in the table {key!r} ({steps.seconds:.0f} s)."
    )


def check_model_out(model_out: Path | None, out: Path, overwrite: bool) -> None:
    """Check that the model file can be written and lies outside the store; make its folder."""
    from stsr.methods.model_file import check_vacant as check_file

    if model_out is None:
        return
    store, file = out.resolve(), model_out.resolve()
    if file == store or store in file.parents or file in store.parents:
        raise ValueError(f"--model-out {model_out} and --out {out} lie in one another; name a file beside the store.")
    check_file(model_out, overwrite, name="--model-out")


def read_tissue(file: Path | None) -> Any:
    """``--tissue``: polygons of a file that GeoPandas reads, such as a GeoJSON that QuPath wrote."""
    if file is None:
        return None
    import geopandas

    try:
        polygons = geopandas.read_file(file)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"--tissue {file} cannot be read as polygons; pass a GeoJSON file.") from error
    if not hasattr(polygons, "geometry") or not len(polygons):
        raise ValueError(f"--tissue {file} holds no polygons; pass a GeoJSON file with some.")
    return polygons


def lay_grid(sdata: SpatialData, args: argparse.Namespace) -> str:
    """Make the grid to predict on; where bins were measured it is aligned with them, so that each cell lies in one bin."""
    from stsr.pp.make_grid import make_grid
    from stsr.spatial import record

    facts = record(sdata)
    if facts.spots in sdata.labels:
        return make_grid(sdata, like=facts.table, bin_size=args.bin_size)
    return make_grid(sdata, bin_size=args.bin_size, angle=args.angle)


def parse_genes(text: str) -> int | str | list[str]:
    """``--genes``: a number, ``"all"``, or a file that :func:`stsr.gene_list.read_gene_list` reads."""
    from stsr.gene_list import read_gene_list

    genes = GENES.read(text)
    if isinstance(genes, int) or genes == ALL:
        return GENES("--genes", genes)
    if not text or not Path(text).is_file():
        raise ValueError(f"--genes {text} is neither a number, nor 'all', nor a file with one gene a line.")
    return read_gene_list(Path(text))


def parse_options(pairs: Sequence[str], method: str) -> dict[str, Any]:
    """Options from ``--option key=value`` pairs, by the rules of the method's options."""
    from stsr.methods import METHODS
    from stsr.options import rules

    known = rules(METHODS[method].Config) if method in METHODS else {}
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--option {pair} is not of the form KEY=VALUE.")
        if key in options:
            raise ValueError(f"--option {key} is given twice, as {options[key]} and {value}; give it once.")
        options[key] = known[key].read(value) if key in known else value
    return options
