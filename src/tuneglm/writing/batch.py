"""The running batch: rows join, are read, write a token each step, and leave.

A prompt is read up to its last token, in passes of at most `PIECE` tokens, so that a long one
does not keep the others waiting; several short ones share a pass. Its last token is the first
step's, like each drawn one after it. A network whose context sees itself reads that whole.
"""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch

from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.writing.arranging import Key, in_order, moves_to
from tuneglm.writing.graphs import COLUMNS, Graphs, can_be_recorded
from tuneglm.writing.places import shaped_positions
from tuneglm.writing.row import Row
from tuneglm.writing.sampling import draw
from tuneglm.writing.slots import Slots

# tokens of prompts that a pass reads
PIECE = 256
WRITES, READS, READS_ON = range(3)


class Batch:
    """Rows in the slots of one cache.

    graphs  of steps; by default where the model's are kernels of a GPU
    """

    def __init__(
        self, model: Any, adapters: NamedAdapters, slots: Slots, graphs: Graphs | None = None
    ) -> None:
        self.rows: list[Row] = []
        self._model, self._adapters, self._slots = model, adapters, slots
        self._names: tuple[str, ...] = ()
        self._turn = 0
        if graphs is None and can_be_recorded(model):
            graphs = Graphs()
        self._graphs, self._version = graphs, adapters.version

    @property
    def has_room(self) -> bool:
        """Whether another row can join."""
        return len(self.rows) < self._slots.slots

    def knows(self, adapter: str) -> bool:
        """Whether it is still there, after a row was made for it."""
        return adapter in self._adapters.names

    def join(self, row: Row) -> None:
        """Take a row that was placed; it is read in the next passes."""
        taken = {each.slot for each in self.rows}
        row.slot = next(slot for slot in range(self._slots.slots) if slot not in taken)
        self.rows.append(row)

    def leave(self, row: Row) -> None:
        """Give a row's place to others."""
        self.rows.remove(row)

    def adapters_changed(self) -> None:
        """Choose them anew before the next pass."""
        self._names = ()

    def slots_changed(self) -> None:
        """They lie elsewhere: what was recorded reads where they were."""
        if self._graphs is not None:
            self._graphs.forget()

    @torch.inference_mode()
    def read(self) -> None:
        """One pass over short prompts, and one piece of a long one."""
        self._arrange()
        groups = self._groups()
        short = [rows for (kind, _), rows in groups if kind == READS]
        if short:
            rows = short[0]
            width = max(row.to_fill for row in rows)
            self._read(rows[: max(1, PIECE // width)])
        for (kind, _), rows in groups:
            if kind == READS_ON:
                # in turns, so that none waits for another one's end
                self._turn += 1
                self._read([rows[self._turn % len(rows)]])
                break

    @torch.inference_mode()
    def write(self) -> list[Row]:
        """A token for every row whose prompt is read; these rows."""
        self._arrange()
        written = []
        groups = [rows for (kind, _), rows in self._groups() if kind == WRITES]
        # who came last comes first: the adapter is the chosen one already
        for rows in sorted(groups, key=lambda rows: self._names != _names(rows)):
            logits = self._write(rows)
            for row, (token, score) in zip(rows, draw(logits, rows), strict=True):
                row.append(token, score)
            written += rows
        return written

    def _read(self, rows: Sequence[Row]) -> None:
        """The next piece of prompts that are neighbours and of which as much was read."""
        start = rows[0].filled
        width = max(row.to_fill for row in rows) - start
        if len(rows) == 1:
            width = min(width, max(PIECE, rows[0].context - start))
        places = torch.arange(start, start + width)
        ids = [_filled_up(row.prompt[start:], width) for row in rows]
        positions = torch.tensor([_filled_up(row.positions[start:], width) for row in rows])
        contexts = torch.tensor([row.context for row in rows])[:, None, None]
        columns = torch.arange(start + width)
        seen = (columns <= places[:, None]) | (columns < contexts)
        self._slots.open(rows[0].slot, rows[-1].slot + 1, start, start + width)
        self._choose(rows)
        self._forward(self._model.base_model, torch.tensor(ids), positions, seen[:, None])
        for row in rows:
            row.filled = min(start + width, row.to_fill)

    def _write(self, rows: Sequence[Row]) -> torch.Tensor:
        """Logits (rows, vocabulary) after each row's last token."""
        told = [[row.token, row.filled, *row.positions[row.filled]] for row in rows]
        state = torch.tensor(told).to(self._model.device)
        seen = max(row.filled for row in rows) + 1
        first, end = rows[0].slot, rows[-1].slot + 1
        self._choose(rows)
        if self._graphs is None:
            return self._step(first, end, seen, state)
        if self._version != self._adapters.version:
            self._version = self._adapters.version
            self._graphs.forget()
        columns = min(-(-seen // COLUMNS) * COLUMNS, self._slots.capacity)
        key = first, end, columns, self._names
        step = partial(self._step, first, end, columns)
        return self._graphs.run(key, step, state, keeps=self._adapters.given)

    def _step(self, first: int, end: int, columns: int, state: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary) of the rows in some slots, which see so many columns.

        state  (rows, 3 or 4) on the device: last token, its column, and its positions
        """
        places = state[:, 1]
        mask = torch.arange(columns, device=places.device) <= places[:, None]
        self._slots.open(first, end, columns - 1, columns, places)
        output = self._forward(
            self._model, state[:, :1], state[:, None, 2:], mask[:, None, None], logits_to_keep=1
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _forward(
        self,
        network: Any,
        ids: torch.Tensor,
        positions: torch.Tensor,
        seen: torch.Tensor,
        **options: Any,
    ) -> Any:
        """A pass: ids (rows, new), positions (rows, new, 1 or 2), seen (rows, 1, new, columns)."""
        device = self._model.device
        if self._model.config._attn_implementation == "eager":
            kind = self._model.dtype
            hidden = torch.zeros(seen.shape, dtype=kind)
            seen = hidden.masked_fill(~seen.to(hidden.device), torch.finfo(kind).min)
        return network(
            input_ids=ids.to(device),
            attention_mask=seen.to(device),
            position_ids=shaped_positions(positions).to(device),
            past_key_values=self._slots,
            use_cache=True,
            **options,
        )

    def _choose(self, rows: Sequence[Row]) -> None:
        """Let their adapters answer."""
        names = _names(rows)
        if names != self._names:
            self._adapters.choose(*names)
            self._names = names

    def _arrange(self) -> None:
        moves = moves_to(self.rows, self._pass_of)
        if not moves:
            return
        lengths = {row.slot: row.filled for row in self.rows}
        for source, target in in_order(moves, self._slots.slots):
            length = lengths[target] = lengths[source]
            self._slots.move(source, target, length)
        for row in self.rows:
            row.slot = moves.get(row.slot, row.slot)

    def _groups(self) -> list[tuple[Key, list[Row]]]:
        """The rows of each pass, as they lie."""
        ordered = sorted(self.rows, key=lambda row: row.slot)
        return [(key, list(rows)) for key, rows in groupby(ordered, self._pass_of)]

    def _pass_of(self, row: Row) -> Key:
        kind = READS_ON if row.filled or row.to_fill > PIECE else READS
        return WRITES if row.is_ready else kind, self._adapters.layers_of(row.adapter)


def _names(rows: Sequence[Row]) -> tuple[str, ...]:
    names = tuple(row.adapter for row in rows)
    return names[:1] if len({*names}) == 1 else names


def _filled_up(values: Sequence[Any], width: int) -> list[Any]:
    """So many of them, the last one again where there are fewer."""
    taken = list(values[:width])
    return taken + [values[-1]] * (width - len(taken))
