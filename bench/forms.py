"""The sizes a benchmark comes in: how many ratings, which ranks, how often, and how long a peer may take.

Covers: the numbers of `tiny`, `small` and `full`.
Does not cover: what is measured with them (sections/), or how the data are made (data.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Form:
    """One size of the benchmark. The set is synthetic, of that shape and fraction (`funkflow synth`).

    Attributes
    ----------
    ranks : k of the kernel's cases; the first is that of all other cases.
    iterations : of SGD in Dask's cases, and of LIBMF in the race for quality; kernel_iterations : in the kernel's.
    repeats, job_repeats : how often each case, and each whole job, is measured; the median counts
        (slow peers: once).
    growth_fractions, growth_ranks : of the shape, for the cases of growth.
    libmf_l2 : of a few, the one that gave LIBMF the least RMSE on the probe after ten iterations, k = 64. Small: 0.03
        0.8867, 0.05 0.8816, 0.06 0.8858. Full: 0.03 0.8660, 0.05 0.8733.
    limit_seconds : what a peer may take before it is ended and reported as failed.
    """

    name: str
    shape: str
    fraction: float
    ranks: tuple[int, ...]
    iterations: int
    kernel_iterations: int
    repeats: int
    job_repeats: int
    growth_fractions: tuple[float, ...]
    growth_ranks: tuple[int, ...]
    libmf_l2: float
    limit_seconds: float


FORMS = {
    form.name: form
    for form in (
        Form("tiny", "demo", 0.1, (16,), 10, 3, 1, 1, (0.1,), (16,), 0.05, 120.0),
        Form("small", "netflix", 0.05, (64, 128), 10, 5, 3, 3, (0.05,), (32, 64, 128), 0.05, 900.0),
        Form("full", "netflix", 1.0, (64, 128), 10, 5, 3, 1, (0.05, 0.2, 1.0), (32, 64, 128), 0.03, 3600.0),
    )
}


def form_of(name: str, fraction: float = 0.0) -> Form:
    """Return the form of that name; with another `fraction` of its shape, under a name of its own."""
    form = FORMS[name]
    return replace(form, name=f"{name}-{fraction:g}", fraction=fraction) if fraction else form
