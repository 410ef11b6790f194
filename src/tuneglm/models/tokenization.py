"""What the tokenizers of the published families share.

ordinary calls     a fast tokenizer, built from the published file; where ids alone are asked
                   for, which is nearly always, from `encode_bulk`
encode_bulk        the C++ or Rust library that the file was made for, called directly
apply_chat_template  the family's renderer, so that no message can forge a role
save_pretrained    a folder that plain transformers reads, and we too
"""

import json
import multiprocessing
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BatchEncoding, PreTrainedTokenizerFast
from typing_extensions import Self

from tuneglm.errors import ModelError
from tuneglm.models.family import Render
from tuneglm.models.ids_first import IdsFirstTokenizer
from tuneglm.models.prompt import example_of
from tuneglm.processors import usable

BulkEncoder = Callable[[list[str]], list[list[int]]]

_LFS = b"version https://git-lfs"
_FETCH = "fetch the model's folder again, or copy this file from the hub by hand"


# building takes a second, and a run loads its tokenizer twice, the second time for the model's end
# tokens: that takes what the first has built, and nothing stays. By class and digest
_BUILT: dict[tuple[type, bytes], Tokenizer] = {}


class GlmTokenizerFast(IdsFirstTokenizer):
    """The fast tokenizer of a published family; a folder of `models/` completes it.

    family                   the word in tokenizer_config.json from which we know it again
    file_name                the published vocabulary
    specials                 the format's tokens; those not in the vocabulary follow it in order
    single, pair             where they stand around one text, `$A`, or two
    eos_name, pad_name, unk_name  the published class's
    template                 the chat template for tools that know nothing of us
    reads_special_text       whether an ordinary call turns `<|user|>` into that token
    cleans_up_spaces         whether decoding takes the space before a comma away
    """

    family: ClassVar[str]
    file_name: ClassVar[str] = "tokenizer.model"
    specials: ClassVar[tuple[str, ...]]
    single: ClassVar[str] = "[gMASK] <sop> $A"
    pair: ClassVar[str]
    eos_name: ClassVar[str]
    pad_name: ClassVar[str]
    unk_name: ClassVar[str | None]
    template: ClassVar[str]
    reads_special_text: ClassVar[bool]
    cleans_up_spaces: ClassVar[bool] = False
    render: ClassVar[Render]

    padding_side = "left"
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (so in the base class)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # set here and not handed on: a saved folder must stay one whose chat
        # template, which is text, still becomes role tokens
        if not self.reads_special_text:
            self.split_special_tokens = True
        self._published: bytes | None = None
        self._bulk: BulkEncoder | None = None

    @staticmethod
    @abstractmethod
    def build(published: bytes) -> Tokenizer:
        """The vocabulary in a published file; raises ValueError when it is none."""

    @staticmethod
    @abstractmethod
    def bulk_encoder(published: bytes) -> BulkEncoder:
        """The library that the file was made for."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer of a published folder, or of one that `save_pretrained` wrote."""
        path = folder / cls.file_name
        published = read_file(path) if path.is_file() else None
        if published is None or _is_ours(folder):
            tokenizer = cls._load_saved(folder)
        else:
            tokenizer = cls._load_published(path, published)
        tokenizer._published = published
        return tokenizer

    @classmethod
    def _built(cls, published: bytes) -> Tokenizer:
        """The vocabulary with the format's tokens: for two that ask it is built once."""
        key = cls, blake2b(published).digest()
        built = _BUILT.pop(key, None)
        if built is None:
            built = cls.build(published)
            add_specials(built, cls.specials, cls.single, cls.pair, cls.eos_name)
            _BUILT.clear()
            _BUILT[key] = built
        return built

    @classmethod
    def _load_saved(cls, folder: Path) -> Self:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"There is no `{cls.file_name}` in `{folder}`.", _FETCH)
        if "model" not in _read_json(path):
            raise ModelError(f"`{path}` holds no tokenizer.", _FETCH)
        tokenizer: Self = cls.from_pretrained(folder)
        return tokenizer

    @classmethod
    def _load_published(cls, path: Path, published: bytes) -> Self:
        try:
            backend = cls._built(published)
        except ValueError as error:
            raise ModelError(
                f"`{path}` cannot be read: {error}.",
                f"if the folder is of another family than {cls.family}, say which; else {_FETCH}",
            ) from error
        return cls(
            tokenizer_object=backend,  # of which transformers makes a copy
            eos_token=cls.eos_name,
            pad_token=cls.pad_name,
            unk_token=cls.unk_name,
            extra_special_tokens=list(cls.specials),
            chat_template=cls.template,
            clean_up_tokenization_spaces=cls.cleans_up_spaces,
        )

    def encode_bulk(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts → ids without specials, as fast as it goes; a special token's text stays text."""
        published = self._published
        if published is None or self.encodes_by_itself():
            plain = {"add_special_tokens": False, "split_special_tokens": True}
            ids: list[list[int]] = self(list(texts), **plain)["input_ids"] if texts else []
            return ids
        if self._bulk is None:
            self._bulk = self.bulk_encoder(published)
        try:
            return self._bulk(list(texts))
        except (TypeError, UnicodeEncodeError):
            # half a character, which JSON can spell and no encoding of text can
            return self._bulk([_whole_characters(text) for text in texts])

    def encodes_by_itself(self) -> bool:
        """Whether the library beneath cannot serve: no published file, or tokens it lacks."""
        return self._published is None or self._has_new_tokens()

    def _has_new_tokens(self) -> bool:
        """Whether someone called `add_tokens`, of which the published file cannot know."""
        known = {self.eos_name, self.pad_name, self.unk_name, *self.specials}
        return any(token not in known for token in self.added_tokens_encoder)

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Any,
        tools: Any = None,
        documents: Any = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        tokenize: bool = True,
        **options: Any,
    ) -> Any:
        """As in transformers; ids come from the family's renderer, text from the template."""
        if not tokenize or chat_template or continue_final_message or documents:
            parse = {"split_special_tokens": False, **(options.pop("tokenizer_kwargs", None) or {})}
            return super().apply_chat_template(
                conversation,
                tools=tools,
                documents=documents,
                chat_template=chat_template,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                tokenize=tokenize,
                tokenizer_kwargs=parse,
                **options,
            )
        single = isinstance(conversation[0], Mapping)
        examples = [
            example_of(each, tools) for each in ([conversation] if single else conversation)
        ]
        rows = type(self).render(self, examples, generation_prompt=add_generation_prompt)
        return self._collect([row.ids for row in rows], single, **options)

    def _collect(
        self,
        rows: list[list[int]],
        single: bool,
        padding: Any = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        **unknown: Any,
    ) -> Any:
        if unknown:
            raise TypeError(f"apply_chat_template has no option {', '.join(sorted(unknown))} here")
        limit = (max_length or self.model_max_length) if truncation else None
        left = self.truncation_side == "left"
        rows = [row[-limit:] if left else row[:limit] for row in rows] if limit else rows
        batch = single and return_tensors is None
        encoded: BatchEncoding = self.pad(
            {"input_ids": rows[0] if batch else rows},  # type: ignore[arg-type]
            padding=padding,
            max_length=max_length,
            return_tensors=return_tensors,
        )
        return encoded if return_dict else encoded["input_ids"]

    def _save_pretrained(
        self, save_directory: Any, file_names: tuple[str, ...], *args: Any, **options: Any
    ) -> tuple[str, ...]:
        names = super()._save_pretrained(save_directory, file_names, *args, **options)
        config = next(Path(name) for name in names if name.endswith("tokenizer_config.json"))
        content = _read_json(config)
        content |= {"tokenizer_class": "PreTrainedTokenizerFast", "family": self.family}
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True)
        config.write_text(text + "\n", encoding="utf-8")
        if self._published is None:
            return names
        published = Path(save_directory) / self.file_name
        published.write_bytes(self._published)
        return (*names, str(published))

    def __getstate__(self) -> dict[str, Any]:
        # the library's handle cannot be pickled; it is made anew at the next bulk call
        return {**self.__dict__, "_bulk": None}


def _whole_characters(text: str) -> str:
    """The text with U+FFFD in place of each half of a character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def add_specials(
    backend: Tokenizer, specials: Sequence[str], single: str, pair: str, eos: str
) -> None:
    """Make the specials tokens (behind the vocabulary where they are not in it), and put them."""
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in specials])
    backend.post_processor = TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(name, backend.token_to_id(name)) for name in (*specials, eos)],
    )


def tokenizer_digest(tokenizer: Any) -> str:
    """Of all that decides what ids a text becomes: vocabulary, chat template, libraries."""
    digest = blake2b(digest_size=16)
    parts: list[str] = [type(tokenizer).__name__, str(tokenizer.chat_template), *_versions()]
    # a template may write the end token, whichever that is
    parts.append(repr(sorted(tokenizer.special_tokens_map.items())))
    flags = {name: value for name, value in tokenizer.init_kwargs.items() if value in (True, False)}
    parts.append(repr(sorted(flags.items())))
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        parts.append(tokenizer.backend_tokenizer.to_str())
    else:
        parts.append(json.dumps(tokenizer.get_vocab(), sort_keys=True))
    for part in parts:
        digest.update(part.encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()


def _versions() -> list[str]:
    libraries = ("transformers", "tokenizers", "sentencepiece", "tiktoken", "jinja2")
    return [version(name) for name in libraries]


def read_file(path: Path) -> bytes:
    """A file of a model's folder; a git-lfs pointer in its place is a ModelError."""
    content = path.read_bytes()
    if content.startswith(_LFS):
        raise ModelError(
            f"`{path}` is a git-lfs pointer, not the file itself.",
            "run `git lfs install && git lfs pull` in that folder",
        )
    return content


def is_named_in_tokenizer_files(token: str, folder: Path) -> bool:
    """Whether the text of a token occurs in a folder's tokenizer files, code or JSON."""
    files = [path for path in folder.glob("token*") if path.suffix in (".py", ".json")]
    return any(token.encode() in path.read_bytes() for path in files)


def threads(texts: Sequence[str]) -> int:
    """How many threads a batch is worth: starting one costs about as much as fifty rows.

    A process that works for another one has brothers on the other processors.
    """
    if multiprocessing.parent_process() is not None:
        return 1
    return max(1, min(usable(), len(texts) // 64))


def _is_ours(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    saved = (folder / "tokenizer.json").is_file() and config.is_file()
    return saved and "family" in _read_json(config)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_file(path))
    except ValueError as error:
        raise ModelError(f"`{path}` is not JSON: {error}.", _FETCH) from error
    return content if isinstance(content, dict) else {}
