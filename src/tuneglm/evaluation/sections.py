"""From outcomes to the sections of a report."""

from collections.abc import Iterator, Mapping, Sequence

from tuneglm.data.probes import Probe
from tuneglm.evaluation.comparing import loss_findings, mean_finding, score_findings, share_finding
from tuneglm.evaluation.contest import Outcome
from tuneglm.evaluation.findings import Example, Finding, Note, Section
from tuneglm.evaluation.matter import Matter
from tuneglm.evaluation.scores import CHINESE, ROUGE_SCORE, corpus_bleu, scores_of
from tuneglm.evaluation.sets import EvaluatedSet
from tuneglm.evaluation.subjects import subjects_in
from tuneglm.evaluation.suites import Subject, Suite

EXAMPLES = 5

Outcomes = Mapping[str, Outcome]


def sections_of(matter: Matter, outcomes: Outcomes, seed: int) -> list[Section]:
    """One for each set, for the questions, and for each suite."""
    sections, first = [], 0
    for each in matter.sets:
        sections.append(_set_section(each, outcomes, slice(first, first + len(each.rows)), seed))
        first += len(each.rows)
    if matter.questions:
        sections.append(_question_section(matter, outcomes, seed))
    sections += [_suite_section(suite, own, outcomes, seed) for suite, own in matter.suites]
    return sections


def _set_section(one: EvaluatedSet, outcomes: Outcomes, part: slice, seed: int) -> Section:
    findings = loss_findings({who: each.losses[one.name] for who, each in outcomes.items()}, seed)
    tokens = sum(next(iter(outcomes.values())).losses[one.name].tokens)
    counts = {"rows": len(one.rows), "available": one.available, "tokens": tokens}
    notes = [Note("{rows:,} of {available:,} rows · {tokens:,} trained tokens", counts)]
    notes += one.notes
    pairs = {who: each.answers[part] for who, each in outcomes.items()}
    if not all(pairs.values()):
        return Section("set", one.name, findings, notes)
    scores, labels = {}, [label for _, label in next(iter(pairs.values()))]
    for who, own in pairs.items():
        answers = [answer for answer, _ in own]
        scores[who] = scores_of(answers, labels)
        bleu = {"who": who, "bleu": corpus_bleu(answers, labels)}
        notes.append(Note("{who}: sacrebleu of all rows together {bleu:.2f}", bleu))
        if empty := sum(not answer for answer in answers):
            notes.append(Note("{who}: {empty:,} answers are empty", {"who": who, "empty": empty}))
    is_chinese = 2 * sum(bool(CHINESE.search(label)) for label in labels) > len(labels)
    hidden = ROUGE_SCORE if is_chinese else ()
    findings += score_findings(scores, seed, hidden)
    return Section("set", one.name, findings, notes, list(_examples(one, pairs)))


def _examples(
    one: EvaluatedSet, pairs: Mapping[str, Sequence[tuple[str, str]]]
) -> Iterator[Example]:
    labels = [label for _, label in next(iter(pairs.values()))]
    for number, (prompt, label) in enumerate(zip(one.shown, labels, strict=False)):
        yield Example(prompt, label, {who: own[number][0] for who, own in pairs.items()})


def _question_section(matter: Matter, outcomes: Outcomes, seed: int) -> Section:
    right = {
        who: [
            question.probe.fulfilled_by(answer)
            for question, answer in zip(matter.questions, each.questions, strict=True)
        ]
        for who, each in outcomes.items()
    }
    findings = []
    for kind in dict.fromkeys(question.kind for question in matter.questions):
        places = [i for i, question in enumerate(matter.questions) if question.kind == kind]
        own = {who: [each[place] for place in places] for who, each in right.items()}
        findings.append(share_finding(kind, own, seed))
    first = next(iter(right.values()))
    wrong = [place for place, one in enumerate(first) if not one]
    shown = (wrong + [place for place, one in enumerate(first) if one])[:EXAMPLES]
    examples = [
        Example(
            matter.questions[place].probe.question,
            _expected(matter.questions[place].probe),
            {who: each.questions[place] for who, each in outcomes.items()},
        )
        for place in shown
    ]
    return Section("questions", "Questions", findings, (), examples)


def _expected(probe: Probe) -> str:
    """What is looked for in an answer, or what must not be there."""
    if probe.expects:
        return " / ".join(probe.expects)
    return f"≠ {' / '.join(probe.rejects)}"


def _suite_section(
    suite: Suite, subjects: Sequence[Subject], outcomes: Outcomes, seed: int
) -> Section:
    right = {
        who: {each.name: outcome.suites[suite.name, each.name] for each in subjects}
        for who, outcome in outcomes.items()
    }

    def finding(measure: str, names: Sequence[str], is_detail: bool = False) -> Finding:
        own = {who: [one for name in names for one in each[name]] for who, each in right.items()}
        return share_finding(measure, own, seed, is_detail)

    findings = [finding("all questions", [each.name for each in subjects])]
    means = {who: [sum(own) / len(own) for own in each.values()] for who, each in right.items()}
    findings.append(mean_finding("mean of subjects", means, seed))
    for category in [*suite.categories]:
        names = [each.name for each in subjects if each.category == category]
        if names:
            findings.append(finding(category, names))
    findings += [finding(each.name, [each.name], is_detail=True) for each in subjects]
    present = [each.name for each in subjects]
    missing = [name for name in subjects_in(suite.categories) if name not in present]
    notes = [Note("{count} subjects", {"count": len(subjects)})]
    if missing:
        lacking = {"count": len(missing), "first": missing[0]}
        notes.append(Note("not in the folder: {count} subjects, such as {first}", lacking))
    return Section("suite", suite.title, findings, notes)
