"""The distance of a tuned model from its base, KL(base ‖ tuned), over the vocabulary.

The base is the same model with its adapter off. Softmaxes are made for some positions
at a time, forward and back: beside the logits of both, little is held.
"""

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax
from torch.utils.checkpoint import checkpoint

POSITIONS = 64


def summed_kl(tuned: Tensor, base: Tensor) -> Tensor:
    """Sum over positions of KL(base ‖ tuned), in nats; both are logits of (positions, vocabulary).

    Gradients go to `tuned` alone.
    """
    pieces = zip(tuned.split(POSITIONS), base.detach().split(POSITIONS), strict=True)
    sums = [checkpoint(_piece, *pair, use_reentrant=False) for pair in pieces]
    return torch.stack(sums).sum() if sums else tuned.sum() * 0


def _piece(tuned: Tensor, base: Tensor) -> Tensor:
    return kl_div(
        log_softmax(tuned.float(), dim=-1),
        log_softmax(base.float(), dim=-1),
        reduction="sum",
        log_target=True,
    )
