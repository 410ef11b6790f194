"""The frozen layers below what is trained: they hand on the same in every epoch.

    frozen_below    which these are
    states_below    what the last of them hands on
    handing_on      within it they compute nothing, and hand on what is given

For the time of a call another `forward` lies in the layers' place, so that names, weights and
saving stay, and so does whatever runs the network at any other time.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from transformers import PreTrainedModel

from tuneglm.models.skeleton import layers_of

# in a config's names, what makes a layer compute something else each time; heads of other tasks
# have such, too
DRAWN, OF_OTHERS = ("drop", "jitter"), ("summary_", "classifier_")


def frozen_below(model: PreTrainedModel) -> list[nn.Module]:
    """The layers before the first trained one, where nothing else before it is trained; or none."""
    layers = list(layers_of(model))
    below = list(takewhile(_is_frozen, layers))
    above: list[Any] = [*layers[len(below) :], model.get_output_embeddings()]
    allowed = {id(each) for module in above for each in module.parameters()}
    # a head that is tied to the embeddings stands before the layers, too
    allowed -= {id(each) for each in model.get_input_embeddings().parameters()}
    trained = [each for each in model.parameters() if each.requires_grad]
    return below if trained and all(id(each) in allowed for each in trained) else []


def draws_numbers(model: PreTrainedModel) -> bool:
    """Whether a model, as its config or a module has it, drops something out or adds noise."""
    settings: dict[str, Any] = model.config.get_text_config().to_dict()
    by_config = any(
        isinstance(value, int | float) and value > 0
        for name, value in settings.items()
        if any(word in name for word in DRAWN) and not name.startswith(OF_OTHERS)
    )
    drops = [module.p for module in model.modules() if isinstance(module, _DropoutNd)]
    return by_config or any(share > 0 for share in drops)


def states_below(
    model: PreTrainedModel, below: Sequence[nn.Module], inputs: Mapping[str, Tensor]
) -> Tensor:
    """What the last of the layers `below` hands on: (rows, tokens, hidden).

    Raises TypeError for a layer that hands on something else.
    """
    given: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        given.append(output)

    def pass_on(_: nn.Module, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden_states

    above = list(layers_of(model))[len(below) :]
    hook = below[-1].register_forward_hook(keep)
    try:
        with _in_place(above, pass_on):
            model.base_model(**inputs, use_cache=False)
    finally:
        hook.remove()
    if len(given) != 1 or not isinstance(given[0], Tensor) or given[0].ndim != 3:
        raise TypeError("a layer hands on more than its states")
    return given[0].detach()


def _is_frozen(layer: nn.Module) -> bool:
    return not any(each.requires_grad for each in layer.parameters())


@contextmanager
def handing_on(below: Sequence[nn.Module], states: Tensor) -> Iterator[None]:
    """Within it the layers `below` all hand on these states, (rows, tokens, hidden)."""

    def hand_on(_: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        return states

    with _in_place(below, hand_on):
        yield


@contextmanager
def _in_place(layers: Sequence[nn.Module], forward: Any) -> Iterator[None]:
    own = [vars(layer).pop("forward", None) for layer in layers]
    for layer in layers:
        layer.forward = MethodType(forward, layer)
    try:
        yield
    finally:
        for layer, before in zip(layers, own, strict=True):
            del layer.forward
            if before is not None:
                layer.forward = before
