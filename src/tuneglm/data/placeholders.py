"""Texts in which rows wait for a name or an author: told of where `replace` left them."""

from collections.abc import Mapping, Sequence

from tuneglm.data.example_set import ExampleSet
from tuneglm.data.messages import Example

# what such texts are called in files that no registry knows
USUAL = ("<NAME>", "<AUTHOR>", "[NAME]", "[AUTHOR]", "{{name}}", "{{author}}")
# of such a file so many rows: in fewer it is what somebody wrote
USUAL_SHARE = 0.1


def placeholders_in(examples: ExampleSet, example: Example) -> list[str]:
    """Those that a row of the set holds."""
    text = "\0".join([message.content for message in example.messages])
    return [each for each in examples.placeholders or USUAL if each in text]


def unfilled(examples: ExampleSet, left: Mapping[str, int], rows: int) -> tuple[str, str] | None:
    """What of a set is to be filled, and how; `left`: text → number of its `rows` that hold it."""
    least = 1 if examples.placeholders else max(1.0, USUAL_SHARE * rows)
    found = {placeholder: count for placeholder, count in left.items() if count >= least}
    if not found:
        return None
    filled = ", ".join(f'"{placeholder}": TEXT' for placeholder in _all_of(examples, found))
    counts = [f"`{placeholder}` in {count} rows" for placeholder, count in found.items()]
    return " and ".join(counts), f"data.train=[{{{examples.key}, replace: {{{filled}}}}}]"


def _all_of(examples: ExampleSet, found: Mapping[str, int]) -> Sequence[str]:
    return examples.placeholders or tuple(found)


def placeholder_note(examples: ExampleSet, left: Mapping[str, int], rows: int) -> str | None:
    """A sentence for a run where there is something to fill."""
    found = unfilled(examples, left, rows)
    return found and f"`{examples.name}` still holds {found[0]}; fill it: {found[1]}"
