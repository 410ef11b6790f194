"""Questions beside the demo's rows, with which anyone can evaluate the result later."""

from tuneglm.data.probes import Probe, some_of_each
from tuneglm.demo.corpus import GeneralProbe, general_probes

KIND = "general"
A_LANGUAGE = 50
# words are looked for anywhere in an answer: shorter ones would be found in others
SHORTEST = {"zh": 2, "en": 4}


def general_questions() -> list[Probe]:
    """Small talk and facts, as far as a file of questions can mark the answers."""
    usable = [each for each in general_probes() if _can_be_looked_for(each)]
    chosen = []
    for language, shortest in SHORTEST.items():
        probes = [
            Probe(
                each.question,
                KIND,
                language,
                each.accepted,
                tuple(word for word in each.rejected if len(word) >= shortest),
            )
            for each in usable
            if each.language == language
        ]
        chosen += some_of_each(probes, A_LANGUAGE)
    return chosen


def _can_be_looked_for(probe: GeneralProbe) -> bool:
    shortest = SHORTEST[probe.language]
    if any(len(word) < shortest or word.isdecimal() for word in probe.accepted):
        return False
    # a wrong answer that is part of a right one
    return not any(
        wrong.casefold() in right.casefold() for wrong in probe.rejected for right in probe.accepted
    )
