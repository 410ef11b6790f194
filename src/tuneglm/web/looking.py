"""Rows as the model sees them, and what there is against them, as parts of a page."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import dropwhile

from tuneglm.config import DataRunConfig, RunConfig
from tuneglm.data.check import Checked, check
from tuneglm.data.encode import encode_usable
from tuneglm.data.encoded import Encoded
from tuneglm.data.example_set import RowProblem
from tuneglm.data.examples import first_examples, load_examples
from tuneglm.data.lengths import FEW, Lengths, cutoff_for, histogram, measured
from tuneglm.data.problems import PROBLEMS, severity_of
from tuneglm.data.show import Decode, shown_pieces
from tuneglm.reports.check import ProblemList, found_by_model, tallied
from tuneglm.web.words import Words, marked

# (trained, special) → the class of its style, and the key of its name
_KINDS: dict[tuple[bool, bool], tuple[str, str]] = {
    (True, False): ("trained", "data.trained"),
    (True, True): ("trained special", "data.trained_special"),
    (False, False): ("context", "data.context"),
    (False, True): ("special", "data.special"),
}


def preview(config: RunConfig, rows: int, words: Words) -> str:
    """The first rows of a run's sets; raises UserError for what cannot be read."""
    from tuneglm.models.encoder import load_encoder

    model = load_encoder(config.model, config.data)
    sets = load_examples(config.data)
    examples, problems = first_examples(tuple(sets.train), rows, "skip")
    block, refused = encode_usable(examples, model.encoder.render, model.encoder.rule)
    readings = _notes(sets.readings, words)
    legend = "".join(f'<span class="{kind}">{words(key)}</span>' for kind, key in _KINDS.values())
    articles = "".join(
        _row(number, row, model.decode, words) for number, row in enumerate(block.rows, 1)
    )
    bad = _problems(_listed([*problems, *refused]), words)
    return f'{readings}<p class="legend">{legend}</p>{articles}{bad}'


def _row(number: int, row: Encoded, decode: Decode, words: Words) -> str:
    spans = "".join(
        f'<span class="{_KINDS[kind][0]}">{escape(text)}</span>'
        for kind, text in shown_pieces(row, decode)
    )
    at = row.source
    place = words("data.row", number=number if at is None else at.row)
    source = place if at is None else f"{_short(at.file)} · {place}"
    figures = words("data.tokens", tokens=row.length, trained=row.trained_tokens)
    cut = f" · {words('data.cut')}" if row.cut else ""
    return (
        f'<article class="sample"><h4>{escape(source)} · {figures}{cut}</h4>'
        f"<pre>{spans}</pre></article>"
    )


def checked(config: DataRunConfig, words: Words) -> str:
    """Every problem of every row, and how long rows are in tokens where a model is named."""
    from tuneglm.models.encoder import load_encoder

    found = ProblemList()
    result = check(config.data, found.hear)
    lengths = list[Lengths]()
    if config.model is not None:
        model = load_encoder(config.model, config.data)
        ends = model.family.end_tokens(model.tokenizer)
        lengths = measured(result.sets, model.encoder, ends, config.data, lambda _, __: None)
    for problem in found_by_model(result, lengths):
        result.add(problem)
        found.hear(problem)
    notes = _notes(result.notes, words)
    bars = "".join(_bars(each, words) for each in lengths)
    return _verdict(result, lengths, words) + notes + bars + _problems(found, words)


def _verdict(result: Checked, lengths: Sequence[Lengths], words: Words) -> str:
    tally = tallied(result, lengths)
    cards = [(words("data.rows"), result.read, ""), (words("data.clean"), tally.clean, "good")]
    cards += [(words("data.unusable"), tally.unusable, "bad" if tally.unusable else "")]
    cards += [(words("data.doubtful"), tally.doubtful, "doubt" if tally.doubtful else "")]
    cards += [(words("data.answers_cut"), tally.cut, "doubt")] if tally.cut else []
    cards += [(words("data.left_out"), tally.lost, "doubt")] if tally.lost else []
    inner = "".join(
        f'<div class="card {kind}"><b>{count:,}</b><span>{label}</span></div>'
        for label, count, kind in cards
    )
    return f'<div class="cards">{inner}</div>'


def _bars(lengths: Lengths, words: Words) -> str:
    """A histogram: a line a bar, so that its words stay readable on a narrow screen."""
    # nothing is shorter than the first bar with a row in it
    bars = [*dropwhile(lambda bar: not bar.rows, histogram(lengths))]
    most = max((bar.rows for bar in bars), default=1)
    lines = []
    for bar in bars:
        some = " some" if bar.rows else ""
        name = f"{bar.start:,}–{bar.end - 1:,}" if bar.end else f"{bar.start:,}–"
        over = " over" if bar.start >= lengths.rule.cutoff else ""
        width = 100 * bar.rows / max(1, most)
        lines.append(
            f'<div class="bar"><span>{name}</span><div><i class="fill{over}{some}" '
            f'style="width:{width:.1f}%"></i></div><b>{bar.rows:,}</b></div>'
        )
    title = words("data.lengths", name=escape(_short(lengths.name)))
    return (
        f'<div class="histogram"><h4>{title}</h4>{"".join(lines)}'
        f'<p class="note">{_cutoff(lengths, words)}</p></div>'
    )


def _cutoff(lengths: Lengths, words: Words) -> str:
    """What the longest length cuts, and which would be enough."""
    rule, few = lengths.rule, cutoff_for(lengths)
    cuts = words("data.cutoff", longest=rule.cutoff, rows=lengths.cut, answers=lengths.answers_cut)
    enough = words("data.enough", longest=few, share=1 - FEW) if few else ""
    return f"{cuts} {enough}".strip()


def _notes(notes: Sequence[str], words: Words) -> str:
    return "".join(f'<p class="note">{marked(words.said(note))}</p>' for note in notes)


def _listed(problems: Sequence[RowProblem]) -> ProblemList:
    found = ProblemList()
    for problem in problems:
        found.hear(problem)
    return found


def _problems(found: ProblemList, words: Words) -> str:
    order = list(PROBLEMS)
    keys = sorted(found.held, key=lambda key: (key[0], order.index(key[1])))
    return "".join(_problem_kind(found, file, kind, words) for file, kind in keys)


def _problem_kind(found: ProblemList, file: str, kind: str, words: Words) -> str:
    held, count = found.held[file, kind], found.counts[file, kind]
    lines = "".join(_problem_lines(held, words))
    more = words("data.more", count=count - len(held)) if count > len(held) else ""
    return (
        f'<details class="problem {severity_of(kind)}"><summary><code>{kind}</code> × {count:,} '
        f"<span>{escape(words.problem(kind, PROBLEMS[kind]))}</span></summary>"
        f'<p class="note">{escape(_short(file))}</p><ul>{lines}</ul><p>{more}</p></details>'
    )


def _problem_lines(held: Sequence[RowProblem], words: Words) -> Iterator[str]:
    for problem in held:
        at = problem.source
        # rows of a list may all stand on one line
        row = f" · {words('data.row', number=at.row)}" if at.row != at.line else ""
        place = f"{words('data.line', line=at.line)}{row}"
        sentence, remedy = marked(words.said(problem.sentence)), marked(words.said(problem.remedy))
        yield f"<li><b>{place}</b> {sentence}<br><small>→ {remedy}</small></li>"


def _short(path: str) -> str:
    """A file's name: where the workplace lies is nobody's affair."""
    return path.rpartition("/")[2]
