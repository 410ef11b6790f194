"""The kinds of rows that an entry takes: one that the file does not have is named."""

from collections.abc import Iterable

from tuneglm.data.columns import listed, nearest
from tuneglm.data.example_set import ExampleSet
from tuneglm.errors import DataError


def refuse_unseen_kinds(examples: ExampleSet, seen: Iterable[str] = ()) -> None:
    """Raise a DataError for a kind that a run names and no row of the file is of.

    `seen` are kinds that its rows are known to have: only where one is missing is the file
    read once more.
    """
    missing = [kind for kind in examples.entry.kinds if kind not in set(seen)]
    if not missing:
        return
    there = examples.kinds()
    unknown = next((kind for kind in missing if kind not in there), None)
    if unknown is None:
        return
    near = nearest(unknown, there)
    hint = f"did you mean `{near}`?" if near else f"its kinds: {listed(sorted(there))}"
    if not there:
        hint = "no row says its kind; the column that does is named so: columns: {kind: COLUMN}"
    raise DataError(
        f"No row of `{examples.file}` is of the kind `{unknown}` that `kinds` names.", hint
    )
