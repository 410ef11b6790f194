"""The options of a run's data; `config.py` puts them beside the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from tuneglm.section import Section

OverCutoff = Literal["truncate_start", "truncate_answer", "drop"]


class DatasetEntry(Section):
    """One data set of a run: a name of the registry, or a file."""

    name: str | None = None
    """A name of the registry; where none has it, a file."""
    path: str | None = None
    """A file, a folder or a pattern: JSON, JSON lines, CSV, TSV, Parquet, Arrow or text, also
    compressed."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column → the file's column, e.g. `{instruction: question, output: answer}`."""
    format: str | None = None
    """How its rows are read: `alpaca`, `sharegpt`, `messages`, `prompt_completion`, `text` …; found
    by looking at the rows, and said, when left out."""
    kinds: tuple[str, ...] = ()
    """Take rows of these kinds only, as the column `kind` says it: `[Translation, NLI]` of
    Firefly."""
    max_rows: Annotated[int, Field(gt=0)] | None = None
    """Take so many rows only: the first ones, or with `seed` any."""
    seed: int | None = None
    """Draws the rows where only some of them are taken."""
    repeats: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Take each row so many times; 2.5 is twice, and half of them a third time."""
    weight: Annotated[float, Field(gt=0)] | None = None
    """Sets with a weight give rows in this proportion, as many as the scarcest allows."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """This share of all rows is from this set, each row as often as that takes; 0.05 is 5%."""
    replace: dict[str, str] = Field(default_factory=dict)
    """Text → text, in every message: `{"<NAME>": 星河, "<AUTHOR>": 北斗实验室}`."""
    replay: Literal[True, False, "hold"] = False
    """Rows of what the model should go on doing as before: `stage.kl` holds it to the base on them,
    and rows for evaluation come from such sets alone, where there are any (`true`). `hold`: of rows
    whose answers are of no worth themselves: with `stage.kl` they are not learnt, the model is only
    held to the base on them; and none is for evaluation."""

    @field_validator("kinds", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way_to_say_how_much(self) -> Self:
        if self.share is not None and (self.weight is not None or self.repeats != 1):
            raise ValueError(
                "An entry of `data.train` has a `share`, and `repeats` or `weight` beside it.\n"
                "give one of the three: a share takes each row as often as it needs"
            )
        return self


class IdentityConfig(Section):
    """Who the model is to be: rows that say so are written, and it is asked before and after."""

    name: str
    """The model's name; its rows go beside the other sets, with rows on other things; questions
    in other words are `probe`'s."""
    author: str
    """Who made it."""
    languages: tuple[str, ...] = ("zh", "en")
    """Languages of the rows and the questions: `zh`, `en`."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """This share of all rows is of them and of those on other things beside them, two to three; by
    default each stands once in an epoch."""
    hold: bool = False
    """With `stage.kl`, the rows on other things are not learnt: the base answers more such
    questions once, before it is tuned, and the model is held to it on its answers
    (`replay: hold`). Where it says who it is, what is right is learnt."""

    @field_validator("languages", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value


class DataConfig(Section):
    """What is trained on, and how a row becomes tokens."""

    train: tuple[DatasetEntry, ...] = ()
    """Names, paths or entries; several are joined."""
    identity: IdentityConfig | None = None
    """A name and an author that the model is to learn."""
    evaluation: tuple[DatasetEntry, ...] = ()
    """Sets for the evaluation loss."""
    evaluation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training rows that is kept for evaluation instead."""
    evaluation_rows: Annotated[int, Field(gt=0)] | None = None
    """Number of training rows that are kept for evaluation instead; where rows are added, some
    of them change sides, which with a share none does."""
    dir: str = "data"
    """Folder of the named sets: what is not in it is fetched into it."""
    registry: str | None = None
    """A registry of your own, read beside tuneglm's: YAML of the same form, or a
    `dataset_info.json`; one in `data.dir` is read in any case. Its names win."""
    cutoff: Annotated[int, Field(ge=16)] = 1024
    """Longest row in tokens; older turns go first, then text, never the end token."""
    over_cutoff: OverCutoff = "truncate_start"
    """What a longer row loses: its oldest exchanges, then text of prompt and answer alike
    (`truncate_start`); the ends of its answers, the prompt stays whole (`truncate_answer`); or
    the row is left out (`drop`)."""
    max_source_length: Annotated[int, Field(ge=8)] | None = None
    """With `max_target_length`, in place of `cutoff`: longest prompt in tokens."""
    max_target_length: Annotated[int, Field(ge=8)] | None = None
    """With `max_source_length`, in place of `cutoff`: longest answer in tokens."""
    train_on: Literal["all", "last"] = "all"
    """Train every answer of a conversation, or the last one only."""
    batching: Literal["auto", "padded", "length_grouped", "packed"] = "auto"
    """How rows share a batch. `auto`: in any order, one after another without padding, none seeing
    another, or `padded` for a model that cannot tell them apart, where processes divide it, and
    with `tokens_per_batch`. `padded`: each padded to the longest. `length_grouped`: the same, with
    rows of like length together. `packed`: without padding, as many as a number of tokens holds.
    What is learnt from the same rows is the same."""
    tokens_per_batch: Annotated[int, Field(gt=0)] | None = None
    """Tokens of a batch, padding included, in place of a number of rows; by default a pack holds
    as many as the longest row may have. A batch is then one such group, and
    `training.per_device_train_batch_size` is 1; above 1 it counts packs."""
    tokens_at_once: Annotated[int, Field(gt=0)] | None = None
    """Tokens that go forward and back at once: a batch of more is run in portions, which learns
    the same and takes less memory. By default as many as keep the device busy, or fit it."""
    streaming: bool = False
    """Read, encode and shuffle the training sets as the run goes on, for what no disk holds
    twice; needs `training.max_steps`."""
    shuffle_buffer: Annotated[int, Field(ge=1)] = 10_000
    """Streamed rows among which the next one is drawn; 1 keeps the files' order."""
    shuffle_seed: int = 42
    """Decides the order of streamed rows."""
    cache: str = "auto"
    """Folder of the encoded rows of large sets; `auto` is tuneglm's own in the user's cache."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Processes that encode a large set; by default one a processor."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a row that cannot be used does: stop the run, or be counted and listed (`skip`). Rows
    that `tuneglm data check` doubts (copies of others, special tokens typed in a text, megabytes)
    are used and told of; `skip` leaves them out too."""

    @property
    def longest_row(self) -> int:
        """Tokens that no row is longer than."""
        if self.max_source_length is None or self.max_target_length is None:
            return self.cutoff
        return self.max_source_length + self.max_target_length

    @model_validator(mode="after")
    def _room_for_a_row(self) -> Self:
        if self.tokens_per_batch is not None and self.tokens_per_batch < self.longest_row:
            raise ValueError(
                f"`data.tokens_per_batch` is `{self.tokens_per_batch}`, and a row may have "
                f"{self.longest_row} tokens.\nraise it, or lower data.cutoff"
            )
        return self

    @model_validator(mode="after")
    def _can_be_streamed(self) -> Self:
        if not self.streaming:
            return self
        repeated = any(entry.repeats != 1 for entry in self.train)
        some_weights = len({entry.weight is None for entry in self.train if not entry.share}) > 1
        for found, key, instead in (
            (self.evaluation_share or self.evaluation_rows, "evaluation_share", "data.evaluation"),
            (self.batching == "length_grouped", "batching=length_grouped", "data.batching=packed"),
            (
                self.tokens_per_batch and self.batching in ("auto", "padded"),
                "tokens_per_batch",
                "data.batching=packed",
            ),
            (repeated, "train[].repeats", "share or weight"),
            (some_weights, "train[].weight", "a weight for every set without a share"),
        ):
            if found:
                raise ValueError(
                    f"`data.{key}` needs all rows at once, and `data.streaming` has one after "
                    f"another.\ntake {instead}"
                )
        return self

    @model_validator(mode="after")
    def _shares_leave_something(self) -> Self:
        total = sum(entry.share or 0 for entry in self.train)
        if total >= 1:
            raise ValueError(
                f"The shares of `data.train` add up to {total:g}: nothing is left to the others.\n"
                "a share is of all rows: below 1, beside a set without a share"
            )
        return self

    @model_validator(mode="after")
    def _both_lengths(self) -> Self:
        if self.max_source_length is not None and "cutoff" in self.model_fields_set:
            raise ValueError(
                "`data.cutoff` does nothing beside `max_source_length` and `max_target_length`.\n"
                "give these two, or data.cutoff alone"
            )
        if (self.max_source_length is None) != (self.max_target_length is None):
            raise ValueError(
                "`data.max_source_length` and `data.max_target_length` go together.\n"
                "give both, or data.cutoff alone"
            )
        return self

    @field_validator("train", "evaluation", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:
        """`a,b`, `[a, b]` and `{name: a}` alike; what has a slash is a path."""
        if isinstance(value, str):
            # a comma may be part of a file's name
            is_file = "," in value and Path(value).expanduser().is_file()
            value = [value] if is_file else [part for part in value.split(",") if part]
        if isinstance(value, Mapping):
            value = [value]
        if not isinstance(value, Sequence):
            return value
        return [_entry(item) if isinstance(item, str) else item for item in value]


def _entry(text: str) -> dict[str, str]:
    """Whether a word without a slash is a set's or a file's name, the registry knows."""
    return {"path": text} if "/" in text or "\\" in text else {"name": text}
