"""What a bench consists of: the product of sections, settings, methods and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from typing import Any
from urllib.parse import quote

from stsr.arguments import GENES, SEED
from stsr.bench.fingerprint import digest, digest_of_files, versions
from stsr.bench.protocol.settings import SETTINGS, usual
from stsr.bench.source_code import code_digest, run_code
from stsr.bench.sources.base import Genes, Source
from stsr.encoders import known_name
from stsr.methods import METHODS, create
from stsr.nn.training.device import check_device

PREPARE = "prepare"
"""Key in :attr:`Plan.code` of the code that prepares sections, beside those of the methods."""

OWN, SHUFFLED = "own", "shuffled"
"""The two images a section is prepared with."""


@dataclass(frozen=True)
class Entry:
    """A row of the tables: a method with its options.

    Parameters
    ----------
    label
        Its name in tables and folders: the method's name, or ``"histex:faithful=true"``.
    method
        Name of the method.
    options
        Its options that differ from the defaults.
    """

    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One fit and its scores.

    Parameters
    ----------
    section, setting
        Names of the section and of its setting.
    entry
        The method.
    seed
        Seed of the hidden spots, of the permuted labels and of the method.
    trained_on
        Names of the sections to train on, when these are other sections.
    """

    section: str
    setting: str
    entry: Entry
    seed: int
    trained_on: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its folder, relative to that of all runs."""
        return f"{self.section}/{self.setting}/{quote(self.entry.label, safe=':=,')}/seed{self.seed}"

    @property
    def image(self) -> str:
        """The image that the section is prepared with."""
        return SHUFFLED if SETTINGS[self.setting].shuffled_image else OWN


@dataclass(frozen=True)
class Plan:
    """All runs of a bench, those of the first seed first.

    Parameters
    ----------
    sources
        The sections by their name.
    runs
        The runs.
    genes
        Genes to score instead of the sections' own.
    encoder, device
        Encoder of the image features, and where methods run.
    others
        Sections to train on that are not among ``sources``, by their name.
    need_spots
        Labels of methods that need spots where they predict, and so cannot be used in ``transfer``.
    """

    sources: Mapping[str, Source]
    runs: tuple[Run, ...]
    genes: Genes | None = None
    encoder: str = "texture"
    device: str = "auto"
    others: Mapping[str, Source] = field(default_factory=dict)
    need_spots: tuple[str, ...] = ()

    @property
    def all_sources(self) -> dict[str, Source]:
        """All sections that are read, by their name."""
        return {**self.others, **self.sources}

    @cached_property
    def data(self) -> dict[str, str]:
        """Digest of the files of every section."""
        return {name: digest_of_files(source.files) for name, source in self.all_sources.items()}

    @cached_property
    def code(self) -> dict[str, str]:
        """Digest of the code of every method, and of ``"prepare"``, computed once."""
        methods = sorted({run.entry.method for run in self.runs})
        return {PREPARE: code_digest("stsr.bench.jobs.prepare"), **{method: run_code(method) for method in methods}}

    def genes_of(self, section: str) -> Genes:
        """The genes that a section is scored on."""
        return self.all_sources[section].genes if self.genes is None else self.genes

    def prepared_fingerprint(self, section: str, image: str) -> str:
        """Fingerprint of a prepared section."""
        facts = repr(type(self.all_sources[section])), section, self.data[section], self.genes_of(section)
        return digest(facts, image, self.encoder, self.code[PREPARE], versions())

    def fingerprint(self, run: Run) -> str:
        """Fingerprint of the scores of a run."""
        sections = [self.prepared_fingerprint(name, run.image) for name in (run.section, *run.trained_on)]
        return digest(sections, asdict(run), self.device, self.code[run.entry.method])


def make_plan(
    sources: Sequence[Source],
    entries: Sequence[Entry],
    *,
    settings: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    genes: Genes | None = None,
    encoder: str = "texture",
    device: str = "auto",
) -> Plan:
    """All combinations of sections, settings, methods and seeds, without those that cannot be run.

    Parameters
    ----------
    sources
        The sections.
    entries
        The methods.
    settings
        Names of the settings; the defaults of each section when None.
    seeds
        Seeds.
    genes, encoder, device
        As in :class:`Plan`.

    Raises
    ------
    ValueError
        For an unknown setting, method, option, encoder or device, for two sections or methods of one name, or when no run
        is left.

    Examples
    --------
    >>> from stsr.bench.sources.find import find_sources
    >>> plan = make_plan(find_sources("synthetic"), [Entry("idw", "idw")], seeds=(0, 1))
    >>> [run.key for run in plan.runs]
    ['synthetic/truth/idw/seed0', 'synthetic/truth/idw/seed1']
    """
    if genes is not None:
        genes = GENES("genes", genes)
    known_name(encoder)
    check_device(device)
    for seed in seeds:
        SEED("seed", seed)
    for what, given in (("sources", sources), ("entries", entries), ("seeds", seeds), ("settings", settings)):
        if given is not None and not given:
            raise ValueError(f"{what} is empty, so there is nothing to run; name one or several.")
    for setting in settings or ():
        if setting not in SETTINGS:
            raise ValueError(f"setting={setting!r} is not known; choose from {', '.join(SETTINGS)}.")
    for entry in entries:
        create(entry.method, entry.options)
    for what, names in (
        ("section", [s.name for s in sources]),
        ("method", [e.label for e in entries]),
        ("setting", [*(settings or ())]),
    ):
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{what}={min(twice)!r} is named twice; name each once.")
    others = {source.name: source.others for source in sources}
    need_spots = tuple(entry.label for entry in entries if "spots" in METHODS[entry.method].info.needs)
    runs = tuple(
        Run(source.name, setting, entry, seed, tuple(other.name for other in others[source.name] if transfer))
        for seed, source in product(seeds, sources)
        for setting in settings or usual(source.has_truth, bool(others[source.name]))
        if SETTINGS[setting].applies(source.has_truth, bool(others[source.name]), source.relative)
        for transfer in [SETTINGS[setting].transfer]
        for entry in entries
        if not (transfer and entry.label in need_spots)
    )
    if not runs:
        raise ValueError(
            f"settings={','.join(settings or ())} leave nothing to run: truth needs true bins, transfer other sections in "
            f"the folder and a method that needs no spots; choose random_half, alternate or blocked for "
            f"{', '.join(source.name for source in sources)}."
        )
    trained_on = {name for run in runs for name in run.trained_on}
    return Plan(
        sources={source.name: source for source in sources},
        runs=runs,
        genes=genes,
        encoder=encoder,
        device=device,
        others={other.name: other for found in others.values() for other in found if other.name in trained_on},
        need_spots=need_spots,
    )
