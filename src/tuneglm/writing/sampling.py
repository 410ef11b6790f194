"""Tokens drawn for all rows of a step at once, each row by its own settings and its own chance.

A row's chance is one number between 0 and 1 from its own generator, found in the sums of its
probabilities: so a seed gives one answer, whatever other rows are drawn beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tuneglm.writing.row import Row, TokenScore

# a nucleus is looked for among so many tokens first: to sort a whole vocabulary takes long
LIKELY = 64
# of a larger one's probabilities, on a scale of logarithms: to a millionth part each
BINS, BINS_A_UNIT = 2048, 64


def draw(logits: torch.Tensor, rows: Sequence[Row]) -> list[tuple[int, TokenScore | None]]:
    """The next token of each row, with its probability where it was asked for.

    logits  (rows, vocabulary)
    """
    scores = logits.float()
    changed = _changed(scores, rows)
    tokens = changed.argmax(dim=-1)
    drawn = [place for place, row in enumerate(rows) if row.sampling.temperature > 0]
    if drawn:
        tokens[drawn] = _sampled(changed[drawn], [rows[place] for place in drawn])
    told = _told(scores, tokens, rows)
    return [(token, told.get(place)) for place, token in enumerate(tokens.tolist())]


def _sampled(scores: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    settings = [
        [row.sampling.temperature for row in rows],
        [row.sampling.top_p for row in rows],
        [row.random.random() for row in rows],
    ]
    moved = torch.tensor(settings, dtype=torch.float64).to(scores.device)
    temperatures, shares, chances = moved.unsqueeze(-1)
    probabilities = torch.softmax(scores / temperatures.float(), dim=-1)
    free = [place for place, row in enumerate(rows) if row.sampling.top_p >= 1]
    tokens = torch.empty(len(rows), dtype=torch.long, device=scores.device)
    if free:
        sums = probabilities[free].double().cumsum(dim=-1)
        tokens[free] = _found(sums, chances[free], sums[:, -1:])
    bound = [place for place, row in enumerate(rows) if row.sampling.top_p < 1]
    if bound:
        tokens[bound] = _nucleus(probabilities[bound], shares[bound], chances[bound])
    return tokens


def _nucleus(
    probabilities: torch.Tensor, shares: torch.Tensor, chances: torch.Tensor
) -> torch.Tensor:
    """Drawn among the likeliest tokens that together have each row's share."""
    count = probabilities.shape[-1]
    likely, tokens = probabilities.topk(min(LIKELY, count))
    sums = likely.double().cumsum(dim=-1)
    # the one that passes the share is in
    kept = (sums - likely < shares).sum(dim=-1, keepdim=True).clamp(min=1)
    places = _found(sums, chances, sums.gather(-1, kept - 1))
    drawn = tokens.gather(-1, places[:, None])[:, 0]
    flat = (sums[:, -1:] < shares).flatten().nonzero().flatten()
    if count > LIKELY and len(flat):
        drawn[flat] = _of_many(probabilities[flat], shares[flat], chances[flat])
    return drawn


def _of_many(
    probabilities: torch.Tensor, shares: torch.Tensor, chances: torch.Tensor
) -> torch.Tensor:
    """The same where the nucleus is large: counted in bins, since to sort takes ten times as long.

    A token's bin is how much less likely than the likeliest it is, on a scale of logarithms; the
    bin in which the share is passed is divided once more.
    """
    largest = probabilities.amax(dim=-1, keepdim=True)
    scale = ((largest.log() - probabilities.log()) * BINS_A_UNIT).clamp(max=BINS - 1)
    bins = scale.long()
    last, before = _passing(bins, probabilities, shares)
    is_last = bins == last
    parts = ((scale - last) * BINS).long().clamp(0, BINS - 1)
    least, _ = _passing(parts, torch.where(is_last, probabilities, 0), shares - before)
    kept = (bins < last) | (is_last & (parts <= least))
    sums = torch.where(kept, probabilities, 0).double().cumsum(dim=-1)
    return _found(sums, chances, sums[:, -1:])


def _passing(
    bins: torch.Tensor, probabilities: torch.Tensor, shares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The bin in which each row's share is passed, and what the bins before it have together."""
    held = torch.zeros(len(bins), BINS, dtype=torch.float64, device=bins.device)
    sums = held.scatter_add_(1, bins, probabilities.double()).cumsum(dim=-1)
    passing = torch.searchsorted(sums, shares.contiguous()).clamp(max=BINS - 1)
    before = torch.where(passing > 0, sums.gather(-1, (passing - 1).clamp(min=0)), 0.0)
    return passing, before


def _found(sums: torch.Tensor, chances: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """The place in each row's running sums where its chance falls."""
    places = torch.searchsorted(sums, chances * total, right=True)[:, 0]
    # rounding must not lead past the last one that counts
    last = torch.searchsorted(sums, total.contiguous())[:, 0]
    return torch.minimum(places, last)


def _changed(scores: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Scores after what rows ask to be added and taken off; the model's own where none does."""
    if not any(row.sampling.changes_scores for row in rows):
        return scores
    changed = scores.clone()
    for place, row in enumerate(rows):
        if row.sampling.changes_scores:
            _change(changed[place], row)
    return changed


def _change(scores: torch.Tensor, row: Row) -> None:
    sampling = row.sampling
    if sampling.repetition != 1.0:
        seen = torch.tensor(sorted({*row.prompt, *row.ids}), device=scores.device)
        known = scores[seen]
        divided = torch.where(known > 0, known / sampling.repetition, known * sampling.repetition)
        scores[seen] = divided
    if sampling.presence or sampling.frequency:
        taken = {
            token: -sampling.presence - sampling.frequency * count
            for token, count in row.counts.items()
        }
        _add(scores, taken)
    _add(scores, sampling.bias)
    if has_to_come := row.has_to_come:
        tokens = torch.tensor(sorted(has_to_come), device=scores.device)
        kept = scores[tokens]
        scores.fill_(-torch.inf)
        scores[tokens] = kept


def _add(scores: torch.Tensor, added: Mapping[int, float]) -> None:
    if added:
        tokens = torch.tensor([*added], device=scores.device)
        scores[tokens] += torch.tensor([*added.values()], device=scores.device)


def _told(scores: torch.Tensor, tokens: torch.Tensor, rows: Sequence[Row]) -> dict[int, TokenScore]:
    """Place of a row that asks → the model's own log probabilities."""
    asking = {place: row.sampling.logprobs for place, row in enumerate(rows)}
    wanted = {place: count for place, count in asking.items() if count is not None}
    if not wanted:
        return {}
    places = list(wanted)
    logprobs = torch.log_softmax(scores[places], dim=-1)
    chosen = tokens[places]
    own: list[float] = logprobs.gather(-1, chosen[:, None])[:, 0].tolist()
    likeliest: Any = logprobs.topk(max(1, *wanted.values(), 1))
    found = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    return {
        place: TokenScore(token, logprob, tuple(zip(ids, values, strict=True))[: wanted[place]])
        for place, token, logprob, (ids, values) in zip(
            places, chosen.tolist(), own, found, strict=True
        )
    }
