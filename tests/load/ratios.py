"""One deployment's row as a multiple of another's, run by run: what is left when the machine's own pace is taken out."""

from __future__ import annotations

from collections.abc import Sequence

from tests.load.measures import Measure, RowResult, judged


def ratio(names: tuple[str, str], row: RowResult, other: RowResult, measures: Sequence[Measure]) -> RowResult:
    """Return the medians of the first row's figures divided by the second's, each run by the one made in its turn."""
    title = f"{row.title}: {names[0]} as a multiple of {names[1]}"
    key = f"{row.key}:{names[0]}/{names[1]}"
    if row.failure or other.failure:
        return RowResult(key, title, (), (), "one of the two failed")
    pairs = list(zip(row.runs, other.runs, strict=True))
    figures = tuple(
        judged(measure.title, "×", None, [measure.read(ours) / measure.read(theirs) for ours, theirs in pairs])
        for measure in measures
    )
    return RowResult(key, title, figures, ())
