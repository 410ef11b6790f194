"""Several adapters beside one model, each loaded once, of which one answers by its name.

LoRA's lie in the model's layers, switched on or off. A prefix or a soft prompt whose
training is over is keys and values that do not change: they are computed once, and
the attention is given those of the adapter that was chosen, or of each row's own.
What a row sees is what it would see with its adapter alone.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.adapters import CONFIG_FILE, add_adapter
from tuneglm.models.attention import PREFIX
from tuneglm.models.bases import doubt_bases, refuse_other_bases
from tuneglm.models.chain import CHAIN_FILE, kind_of
from tuneglm.models.family import Family
from tuneglm.models.loading import adapter_folder
from tuneglm.models.partial import read_partial
from tuneglm.models.prefix import check_sees_none, check_sees_prefix, encoder_of, split_prefix
from tuneglm.models.soft_prompt import SoftPrompt, count_from_first_token, fitting_soft_prompt
from tuneglm.models.weights import read_json

# the model as it is without them
BASE = "base"


class NamedAdapters:
    """Adapters of one model, and which of them answers: at first `base`, the model alone.

    folders  name → folder or id: LoRA, a P-tuning prefix, or a soft prompt

    Raises ModelError for one that does not fit, and for one that cannot be switched
    off again, since weights of its own take the place of the model's.
    """

    def __init__(
        self, model: PreTrainedModel, folders: Mapping[str, str | Path], family: Family
    ) -> None:
        self.names: tuple[str, ...] = (BASE, *folders)
        self._model, self._family = model, family
        self._attention: str = model.config._attn_implementation
        self._always = model.active_adapters() if model._hf_peft_config_loaded else []
        self._lora: dict[str, str] = {}
        # (layers, 2, key-value heads, length, head_dim) of each
        self._prefixes: dict[str, torch.Tensor] = {}
        # those whose rows count their positions from their first token, as a soft prompt's do
        self._counting = set[str]()
        self._given: dict[str, torch.Tensor] = {}
        self._hook: Any = None
        self._layers: list[Any] = []
        self._added = 0
        # counts up when one comes or goes
        self.version = 0
        if BASE in folders:
            raise ModelError("An adapter cannot be called `base`: that is the model without one.")
        self.folders = {name: adapter_folder(path) for name, path in folders.items()}
        refuse_other_bases(list(self.folders.values()))
        for name, folder in self.folders.items():
            self._add(name, folder)
        doubt_bases(list(self.folders.values()), str(model.name_or_path))
        self.choose(BASE)

    def add(self, name: str, path: str | Path) -> None:
        """One more beside the others; raises ModelError as at the beginning, and adds nothing."""
        if name in self.names:
            raise ModelError(f"There is an adapter `{name}` already.", "take it away first")
        folder = adapter_folder(path)
        refuse_other_bases([*self.folders.values(), folder])
        self.choose(BASE)
        try:
            self._add(name, folder)
        except ModelError:
            self._forget(name)
            raise
        finally:
            self.choose(BASE)
        doubt_bases([folder], str(self._model.name_or_path))
        self.version += 1
        self.names = (*self.names, name)
        self.folders[name] = folder

    def remove(self, name: str) -> None:
        """Take one away, with its memory; raises ModelError where it is not there, or the base."""
        self._refuse_unknown(name)
        if name == BASE:
            raise ModelError("`base` cannot be taken away: that is the model without adapters.")
        self.choose(BASE)
        self.version += 1
        self.names = tuple(each for each in self.names if each != name)
        del self.folders[name]
        self._forget(name)
        self.choose(BASE)

    def choose(self, *names: str) -> None:
        """Let one answer from now on; or several, each the row of its place in every batch.

        Raises ModelError for a name that is not there, and for rows that cannot share a batch.
        """
        for name in names:
            self._refuse_unknown(name)
        layers = {self.layers_of(name) for name in names}
        if len(layers) != 1:
            raise ModelError(
                f"Rows of {', '.join(f'`{name}`' for name in names)} cannot share a batch: LoRA "
                "changes the layers for all of them.",
                "prefixes, soft prompts and the base can share one",
            )
        self._switch_layers(*layers)
        self.chosen = names[:1] if len({*names}) == 1 else names
        prefixes = [self._prefixes.get(name) for name in self.chosen]
        self._given = _of_rows(prefixes)
        attention = PREFIX if self._given else self._attention
        if self._hook and self._model.config._attn_implementation != attention:
            self._model.set_attn_implementation(attention)

    @contextmanager
    def for_rows(self, names: Sequence[str]) -> Iterator[None]:
        """As `choose`, for as long as the block; no names leave it as it is."""
        before = self.chosen
        if names:
            self.choose(*names)
        try:
            yield
        finally:
            self.choose(*before)

    def layers_of(self, name: str) -> str:
        """What two names have in common whose rows can share a batch."""
        return self._lora.get(name, BASE)

    @property
    def given(self) -> Mapping[str, torch.Tensor]:
        """What the attention is told of the chosen ones' prefixes, until others are chosen."""
        return self._given

    def _add(self, name: str, folder: Path) -> None:
        _refuse_what_stays(folder)
        kind = kind_of(folder)
        if kind == "lora":
            # not the name itself, which peft would look for among those of modules
            self._lora[name] = f"named_{self._added}"
            self._added += 1
            add_adapter(self._model, folder, self._family, self._lora[name])
            self._find_layers()
            return
        check_sees_prefix(self._model)
        if not self._prefixes:
            check_sees_none(self._model)
        if kind == "prompt":
            tokens = fitting_soft_prompt(self._model, folder, read_json(folder / CONFIG_FILE))
            encoder: nn.Module = SoftPrompt(tokens, self._family.context_positions)
            if not self._family.derives_positions:
                self._counting.add(name)
        else:
            encoder = encoder_of(self._model.config, split_prefix(read_partial(folder))[0])
        self._prefixes[name] = self._computed(encoder)
        if self._hook is None:
            network: Any = self._model.base_model
            self._hook = network.register_forward_pre_hook(self._give, with_kwargs=True)

    def _forget(self, name: str) -> None:
        """What is in the model of one, or of what could not be added as a whole."""
        self._prefixes.pop(name, None)
        self._counting.discard(name)
        layers = self._lora.pop(name, None)
        if self._model._hf_peft_config_loaded and layers in self._model.peft_config:
            self._model.delete_adapter(layers)
            self._find_layers()

    def _find_layers(self) -> None:
        found = self._model.modules()
        self._layers = [layer for layer in found if isinstance(layer, BaseTunerLayer)]

    def _computed(self, encoder: nn.Module) -> torch.Tensor:
        """Keys and values, by the model without any of these adapters."""
        self._switch_layers(BASE)
        self._model.set_attn_implementation(PREFIX)
        with torch.no_grad():
            found: torch.Tensor = encoder.to(self._model.device).eval()(self._model.base_model)
        self._model.set_attn_implementation(self._attention)
        return found

    def _switch_layers(self, name: str) -> None:
        """Turn on one adapter's layers beside those that always are.

        As peft does, without its walk through the whole model and its word on gradients: where
        rows of several adapters take turns, this is done twice a token.
        """
        active = [*self._always, *([] if name == BASE else [name])]
        for layer in self._layers:
            layer._disable_adapters = not active
            layer._active_adapter = active

    def _give(self, network: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before the network's forward: what its attention sees beside the tokens."""
        if "prefix" in kwargs or not self._given:
            return args, kwargs
        if self._counting.intersection(self.chosen):
            args, kwargs = count_from_first_token(network, args, kwargs)
        return args, {**kwargs, **self._given}

    def _refuse_unknown(self, name: str) -> None:
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, n=1)
            nearest = f"did you mean `{near[0]}`? " if near else ""
            raise ModelError(
                f"There is no adapter `{name}` here.", f"{nearest}known: {', '.join(self.names)}"
            )


def _of_rows(prefixes: Sequence[torch.Tensor | None]) -> dict[str, torch.Tensor]:
    """What the attention is told of the prefix of all rows, or of each row's: see `attend`.

    Those that are shorter than others are filled up at their beginning.
    """
    present = [each for each in prefixes if each is not None]
    if not present:
        return {}
    some = present[0]
    if len(prefixes) == 1:
        return {"prefix": some}
    lengths = torch.tensor([0 if each is None else each.shape[-2] for each in prefixes])
    longest = int(lengths.max())
    filled = [
        torch.zeros_like(some[..., :1, :]).expand(*some.shape[:-2], longest, -1)
        if each is None
        else pad(each, (0, 0, longest - each.shape[-2], 0))
        for each in prefixes
    ]
    seen = torch.arange(longest) >= longest - lengths[:, None]
    return {"prefix": torch.stack(filled, dim=2), "prefix_seen": seen.to(some.device)}


def can_be_switched(folder: Path) -> bool:
    """Whether what a folder holds can be chosen by a name, and left again."""
    return _why_it_stays(folder) is None


def _refuse_what_stays(folder: Path) -> None:
    """Raises ModelError for what cannot be switched off once it is in a model."""
    reason = _why_it_stays(folder)
    if reason is not None:
        raise ModelError(
            f"The adapter `{folder}` cannot be switched off again: {reason}.",
            f"talk to it alone: tuneglm chat {folder}",
        )


def _why_it_stays(folder: Path) -> str | None:
    config = read_json(folder / CONFIG_FILE, {})
    if (folder / CHAIN_FILE).is_file():
        return "it was trained on top of others, which are merged into the model"
    if kind_of(folder) == "freeze" or (
        config.get("modules_to_save") or config.get("trainable_token_indices")
    ):
        return "weights of its own take the place of the model's"
    return None
