"""What a method is given, and what it is scored on."""

from __future__ import annotations

from dataclasses import dataclass

from stsr.bench.protocol.splits import Split, alternate, blocked, random_half


@dataclass(frozen=True)
class Setting:
    """A test: what a method is given, and what its prediction is scored on.

    Parameters
    ----------
    name, title
        Its key, and a description in one line.
    on_truth
        All spots are given and the true bins scored, on sections that have them.
    share
        Where the spots are sums of the true bins: share of the molecules that go to the spots; the others are the truth.
        None leaves both as they are, so that they share all molecules.
    sums_only
        Whether it is only for sections whose spots are sums of the true bins.
    split
        Splits the spots into given and scored ones; used where there are no true bins, or ``on_truth`` is not set.
    shuffled_image
        Blocks of the H&E are permuted over the tissue before features are extracted.
    shuffled_labels
        The counts of the spots that are given are permuted over them.
    transfer
        The spots of the other sections of the folder are given, but only the image of the section itself.
    """

    name: str
    title: str
    on_truth: bool = False
    share: float | None = None
    sums_only: bool = False
    split: Split | None = None
    shuffled_image: bool = False
    shuffled_labels: bool = False
    transfer: bool = False

    def applies(self, has_truth: bool, has_others: bool = False, apart: bool = False) -> bool:
        """Whether a section can be used: whether it has true bins, other sections in its folder, and bins measured apart."""
        on_truth = self.on_truth and has_truth and not (self.sums_only and apart)
        return self.split is not None or on_truth or (self.transfer and has_others)

    def hides(self, has_truth: bool) -> Split | None:
        """How spots are hidden and scored; None when the true bins are scored."""
        return None if self.on_truth and has_truth else self.split


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "truth",
            "all spots given, scored on true bins that share no molecule with them: where the spots are sums of these bins, "
            "each molecule goes to the spots or to the truth with equal probability",
            on_truth=True,
            share=0.5,
        ),
        Setting(
            "truth_80",
            "the same with four fifths of the molecules for the spots, for nearly their full sequencing depth, and one for the truth",
            on_truth=True,
            share=0.8,
            sums_only=True,
        ),
        Setting(
            "shared_noise",
            "as published: spots that are sums of the true bins, scored on these; both share the noise of counting, so that "
            "copying it raises the score",
            on_truth=True,
            sums_only=True,
        ),
        Setting("random_half", "half of the spots given at random, scored on the others", split=random_half),
        Setting("alternate", "spots of every second row and column given, scored on the others", split=alternate),
        Setting(
            "blocked",
            "blocks of 4 x 4 pitches hidden and scored, with a buffer of 1.5 pitches that is neither",
            split=blocked,
        ),
        Setting(
            "shuffled_image",
            "control: blocks of the H&E permuted over the tissue, so that only the spots can help",
            on_truth=True,
            share=0.5,
            split=random_half,
            shuffled_image=True,
        ),
        Setting(
            "shuffled_labels",
            "control: the counts permuted over the spots, so that nothing can help",
            on_truth=True,
            share=0.5,
            split=random_half,
            shuffled_labels=True,
        ),
        Setting(
            "transfer",
            "trained on the other sections of its folder, predicted from the image alone, scored on all its spots",
            transfer=True,
        ),
    )
}


def usual(has_truth: bool, has_others: bool = False) -> tuple[str, ...]:
    """Default settings of a section."""
    if has_truth:
        return ("truth",)
    return ("random_half", "blocked", "transfer") if has_others else ("random_half", "blocked")
