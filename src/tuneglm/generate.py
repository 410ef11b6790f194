"""ChatModel: a model and its tokenizer, loaded once, that answers conversations."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteriaList
from typing_extensions import Self

from tuneglm.allocation import bound_kernels
from tuneglm.checkpoints import refuse_unfinished
from tuneglm.config import ChatConfig
from tuneglm.errors import DataError
from tuneglm.models.family import Family
from tuneglm.models.fast import make_fast
from tuneglm.models.float16 import computes_in_float16
from tuneglm.models.halves import keep_halves
from tuneglm.models.loading import load_model, load_tokenizer, local_folder, resolved_family
from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.models.precision import Width
from tuneglm.models.prompt import example_of
from tuneglm.plan.capacity import device_memory
from tuneglm.processors import use_threads
from tuneglm.writing.alone import Alone, alone_for
from tuneglm.writing.pieces import Pieces
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.stopping import WhenAsked, WhenSaid
from tuneglm.writing.text import AnswerText

Conversation = Sequence[Mapping[str, Any]]

# whether an answer has said enough, told by its text so far
Enough = Callable[[str], bool]

PROMPTS = 32  # in a padded batch
HALVES = 4  # times as much memory as weights in halves take is to be there


class ChatModel:
    """Answers conversations; the prompt is the one that training used.

    A conversation is a list of `{"role": …, "content": …}`, the last one the user's.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        family: str | None = None,
        dtype: str | torch.dtype | None = None,
        bits: Width | None = None,
        adapters: Sequence[str | Path] | Mapping[str, str | Path] = (),
        device: str | torch.device | None = None,
    ) -> None:
        """Load from a model folder, a hub's id or a run's output; see `load_model`.

        adapters  folders that are all active; or by name, of which the first answers and
                  `self.adapters.choose` takes another
        """
        refuse_unfinished(Path(path).expanduser())
        use_threads()
        bound_kernels()
        self.family = resolved_family(local_folder(path), family)
        self.tokenizer = load_tokenizer(path, family=self.family.name)
        self.model: Any = load_model(
            path,
            family=self.family.name,
            dtype=dtype,
            bits=bits,
            adapters=() if isinstance(adapters, Mapping) else adapters,
            device=device,
        )
        if not computes_in_float16(self.model):
            make_fast(self.model)
        named = adapters if isinstance(adapters, Mapping) else {}
        self.adapters = NamedAdapters(self.model, named, self.family)
        for name in [*named][:1]:
            self.adapters.choose(name)
        self._keep_halves()
        self.end_tokens = self.family.end_tokens(self.tokenizer)
        self._alone: Alone | None = None
        # to be found out when the first answer is streamed
        self._may_be_alone = True

    def _keep_halves(self) -> None:
        """What makes its tokens faster on a processor, where there is memory for it many times."""
        device = torch.device("cpu")
        if self.model.device == device:
            memory = device_memory(device)
            keep_halves(self.model, None if memory is None else memory // HALVES)

    @classmethod
    def around(cls, model: Any, tokenizer: Any, family: Family) -> Self:
        """A model that is in memory already, such as one that is being tuned."""
        chat = cls.__new__(cls)
        chat.family, chat.tokenizer, chat.model = family, tokenizer, model
        chat.end_tokens = family.end_tokens(tokenizer)
        # its weights change, and so may what it is made of
        chat._alone, chat._may_be_alone = None, False
        return chat

    def prompt(
        self, conversation: Conversation, tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """The ids that the model goes on from."""
        example = example_of(conversation, tools)
        (rendered,) = self.family.render(self.tokenizer, [example], generation_prompt=True)
        return rendered.ids

    def reply(self, conversation: Conversation, config: ChatConfig | None = None) -> str:
        """The whole answer."""
        return "".join(self.stream(conversation, config))

    def stream(
        self, conversation: Conversation, config: ChatConfig | None = None
    ) -> Generator[str, None, None]:
        """The answer in pieces as it is drawn; leaving the loop stops the model."""
        config = config or ChatConfig()
        prompt = self.prompt(self._with_system(conversation, config))
        room = self._room(len(prompt), config)
        alone = self._own_slot()
        if alone is not None and alone.take():
            try:
                yield from self._written(alone, prompt, room, config)
            finally:
                alone.leave()
            return
        ids = torch.tensor([prompt])
        pieces = Pieces(self.decode)
        stop = Event()
        worker = Thread(target=self._generate, args=(ids, config, pieces, stop), daemon=True)
        worker.start()
        try:
            yield from pieces
        finally:
            stop.set()
            worker.join()

    def replies(
        self,
        conversations: Sequence[Conversation],
        config: ChatConfig,
        adapters: Sequence[str] = (),
        enough: Enough | None = None,
    ) -> list[str]:
        """The answers to several conversations: prompts of one length make a batch.

        adapters  the name of the one that answers each; in a batch prefixes may differ
        enough    ends an answer early; asked every eight tokens, so what it ends is in no
                  company another text
        """
        prompts = [self.prompt(self._with_system(each, config)) for each in conversations]
        names = adapters or [""] * len(prompts)
        batches: dict[tuple[int, str], list[int]] = {}
        for place, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            batches.setdefault((len(prompt), self.adapters.layers_of(name)), []).append(place)
        answers = [""] * len(prompts)
        for (length, _), places in sorted(batches.items()):
            ids = torch.tensor([prompts[place] for place in places])
            looks = None if enough is None else self._looking(enough, length)
            with self.adapters.for_rows([names[place] for place in places] if adapters else ()):
                outputs = self._draw(ids, config, stopping_criteria=looks)[:, length:].tolist()
            for place, output in zip(places, outputs, strict=True):
                answers[place] = self.decode(self._until_end(output)).strip()
        return answers

    def padded_replies(
        self, conversations: Sequence[Conversation], config: ChatConfig
    ) -> list[str]:
        """As `replies`, with prompts of unlike length in a batch: equal but for rounding."""
        prompts = [self.prompt(self._with_system(each, config)) for each in conversations]
        return self.padded_answers(prompts, config)

    def padded_answers(
        self, prompts: Sequence[list[int]], config: ChatConfig, at_once: int = PROMPTS
    ) -> list[str]:
        """The answers to prompts of token ids, in batches of so many of like length."""
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), at_once):
            places = order[start : start + at_once]
            length = max(len(prompts[place]) for place in places)
            padding = [length - len(prompts[place]) for place in places]
            rows = [
                [self._pad] * gap + prompts[place]
                for gap, place in zip(padding, places, strict=True)
            ]
            mask = torch.arange(length)[None] >= torch.tensor(padding)[:, None]
            outputs = self._draw(torch.tensor(rows), config, mask.long())[:, length:].tolist()
            for place, output in zip(places, outputs, strict=True):
                answers[place] = self.decode(self._until_end(output)).strip()
        return answers

    def decode(self, ids: list[int]) -> str:
        """Ids of an answer → its text as the model wrote it, without special tokens."""
        # ChatGLM-6B's tokenizer takes spaces before punctuation away, of programs as well; and
        # where a token shortens the text before it, a stream has shown what is then not there
        return str(
            self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def conversation_ids(
        self, conversation: Conversation, tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """The ids of a conversation that has come to an answer, which is its last message."""
        (rendered,) = self.family.render(self.tokenizer, [example_of(conversation, tools)])
        return rendered.ids

    @property
    def longest(self) -> int | None:
        """How many tokens the model reads; None where its config does not say."""
        positions: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return positions

    def _looking(self, enough: Enough, length: int) -> StoppingCriteriaList:
        """`length`: of the prompts."""

        def said(ids: list[int]) -> bool:
            return enough(self.decode(self._until_end(ids)))

        return StoppingCriteriaList([WhenSaid(said, length)])

    def _until_end(self, ids: list[int]) -> list[int]:
        ends = [place for place, token in enumerate(ids) if token in self.end_tokens]
        return ids[: ends[0]] if ends else ids

    @property
    def _pad(self) -> int:
        pad: int | None = self.tokenizer.pad_token_id
        return self.end_tokens[0] if pad is None else pad

    @staticmethod
    def _with_system(conversation: Conversation, config: ChatConfig) -> Conversation:
        if not config.system or any(each["role"] == "system" for each in conversation):
            return conversation
        return [{"role": "system", "content": config.system}, *conversation]

    def _own_slot(self) -> Alone | None:
        """What writes one answer at a time, where a GPU can be given its steps at once."""
        if self._may_be_alone:
            self._may_be_alone = False
            prompt = self.prompt([{"role": "user", "content": "1 2 3"}])
            with suppress(torch.OutOfMemoryError):
                self._alone = alone_for(self.model, self.adapters, self.family, prompt)
        return self._alone

    def _written(
        self, alone: Alone, prompt: list[int], room: int, config: ChatConfig
    ) -> Iterator[str]:
        """Pieces of an answer, as a server would write it."""
        sampling = Sampling(
            temperature=config.temperature,
            top_p=config.top_p,
            repetition=config.repetition_penalty,
            seed=config.seed,
        )
        row = Row(prompt, room, sampling, self.adapters.chosen[0])
        text = AnswerText(self.decode)
        with closing(alone.tokens(row)) as tokens:
            for token in tokens:
                if token in self.end_tokens:
                    break
                if piece := text.add(token):
                    yield piece
        if piece := text.end():
            yield piece

    def _generate(self, ids: torch.Tensor, config: ChatConfig, pieces: Pieces, stop: Event) -> None:
        try:
            self._draw(
                ids,
                config,
                streamer=pieces,
                stopping_criteria=StoppingCriteriaList([WhenAsked(stop)]),
            )
        except BaseException as error:
            pieces.fail(error)
        else:
            pieces.end()

    @torch.inference_mode()
    def _draw(
        self,
        ids: torch.Tensor,
        config: ChatConfig,
        mask: torch.Tensor | None = None,
        **options: Any,
    ) -> torch.Tensor:
        ids = ids.to(self.model.device)
        mask = torch.ones_like(ids) if mask is None else mask.to(ids.device)
        room = self._room(ids.shape[1], config)
        if config.seed is not None:
            torch.manual_seed(config.seed)
        drawn: torch.Tensor = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=self._settings(config, room),
            **options,
        )
        return drawn

    def _room(self, tokens: int, config: ChatConfig) -> int:
        """The most tokens of an answer to a prompt of so many; raises DataError for none."""
        positions = self.longest
        room = config.max_new_tokens
        if positions is not None:
            room = min(room, positions - tokens)
        if room <= 0:
            raise DataError(
                f"The conversation has {tokens} tokens, and the model reads {positions}.",
                "begin anew (`/clear`), or ask with less text",
            )
        return room

    def _settings(self, config: ChatConfig, room: int) -> GenerationConfig:
        sampling = (
            {
                "do_sample": True,
                "temperature": config.temperature,
                "top_p": config.top_p,
                "top_k": 0,
            }
            if config.temperature > 0
            else {"do_sample": False}
        )
        return GenerationConfig(
            max_new_tokens=room,
            repetition_penalty=config.repetition_penalty,
            eos_token_id=list(self.end_tokens),
            pad_token_id=self._pad,
            **sampling,
        )
