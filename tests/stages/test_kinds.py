"""Rows of several kinds of tasks: an evaluation loss of each."""

import json
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.training import train

ROWS = [
    {"kind": kind, "input": f"{kind} {number}?", "target": f"the answer is {number}" * repeats}
    for number in range(3)
    for kind, repeats in (("NLI", 1), ("Poem", 4))
]


def evaluated(folder: Path) -> dict[str, float]:
    """The figures of the last evaluation."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    found = [entry for line in lines if "eval_loss" in (entry := json.loads(line))]
    return {key: value for key, value in found[-1].items() if key.startswith("eval_loss")}


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_each_kind_has_the_loss_of_its_rows_alone(
    configure: Configure, tmp_path: Path, batching: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "firefly.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))

    def losses(name: str, entry: str) -> dict[str, float]:
        settings = (f"data.evaluation=[{{path: {path}{entry}}}]", f"data.batching={batching}")
        train(configure(tmp_path / name, "training.max_steps=1", "data.cutoff=64", *settings))
        return evaluated(tmp_path / name)

    together = losses("all", "")
    assert "Kinds    evaluation of NLI " in capsys.readouterr().out
    assert together.keys() == {"eval_loss", "eval_loss_NLI", "eval_loss_Poem"}
    for kind in ("NLI", "Poem"):
        alone = losses(kind, f", kinds: [{kind}]")
        assert alone == {"eval_loss": pytest.approx(together[f"eval_loss_{kind}"], rel=1e-5)}
