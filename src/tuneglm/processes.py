"""What the processes of a run tell each other; one alone agrees with itself."""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from accelerate.utils import broadcast_object_list
from torch import distributed

from tuneglm.errors import UserError

T = TypeVar("T")


def agreed(find: Callable[[], T]) -> T:
    """What the first process finds, in all of them; the others wait for it.

    A UserError that it finds is raised in all, so that none waits for ever.
    """
    if not _several():
        return find()
    found: list[T | UserError | None] = [None]
    if distributed.get_rank() == 0:
        try:
            found = [find()]
        except UserError as error:
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], UserError):
        raise found[0]
    return cast(T, found[0])


class Ballot:
    """Numbers that are compared at every step; over the processor, so that no GPU waits for it."""

    def __init__(self) -> None:
        self._group = distributed.new_group(backend="gloo") if _several() else None

    def largest(self, number: int) -> int:
        """The largest of all processes' numbers."""
        if self._group is None:
            return number
        votes = torch.tensor(number)
        distributed.all_reduce(votes, distributed.ReduceOp.MAX, self._group)
        return int(votes)


def _several() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1
