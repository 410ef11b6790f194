"""Learning rates and epochs by method and number of rows: chosen, said, and doubted."""

from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.errors import ConfigError
from tuneglm.methods import METHODS
from tuneglm.methods.presets import FEW_STEPS, doubt_of_rate, doubt_of_steps, epochs_for
from tuneglm.stages.arguments import training_arguments
from tuneglm.training import train


def test_few_rows_are_seen_more_often_and_a_large_set_once() -> None:
    for method, record in METHODS.items():
        chosen = [epochs_for(method, rows) for rows in (1, 90, 200, 500, 5_000, 20_000, 10**6)]
        assert chosen == sorted(chosen, reverse=True)
        assert chosen[0] == record.most_epochs
        assert chosen[-3:] == [3, 2, 1]


def test_a_methods_own_rate_is_not_doubted_and_another_methods_may_be() -> None:
    for method, record in METHODS.items():
        assert doubt_of_rate(method, record.learning_rate) is None
    assert METHODS["p_tuning"].learning_rate == 100 * METHODS["lora"].learning_rate
    doubt = doubt_of_rate("p_tuning", METHODS["lora"].learning_rate)
    assert doubt is not None
    assert "a 100th of what suits method=p_tuning" in doubt
    doubt = doubt_of_rate("lora", METHODS["p_tuning"].learning_rate)
    assert doubt is not None
    assert "100 times what suits method=lora" in doubt


def test_too_few_steps_are_doubted_and_those_of_a_preset_are_not() -> None:
    for method, record in METHODS.items():
        for rows in (1, 8, 100, 500, 10**6):
            chosen = epochs_for(method, rows)
            assert doubt_of_steps(method, rows, chosen, chosen * -(-rows // 8)) is None
        doubt = doubt_of_steps(method, 8, 1, 1)
        assert doubt is not None
        assert doubt.startswith(f"1 step hardly changes a model: 8 rows want {record.most_epochs} ")
        assert doubt_of_steps(method, 8, 1, FEW_STEPS) is None
        assert "2 steps hardly change" in str(doubt_of_steps(method, 8, 2, 2))


def test_where_more_epochs_alone_do_not_help_the_batch_is_named() -> None:
    """Unless a step sees one row already."""
    for rows, steps, names_batch in ((60, 2, False), (60, 1, True), (1, 1, False)):
        doubt = doubt_of_steps("lora", rows, 1, steps)
        assert doubt is not None
        assert ("That makes 10 steps: lower training.per_device" in doubt) == names_batch


@pytest.mark.parametrize(
    ("training", "said"),
    [({"num_train_epochs": 1}, True), ({}, False), ({"max_steps": 1}, False)],
)
def test_too_few_steps_are_said_before_the_first(
    training: dict[str, int],
    said: bool,
    configure: Configure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = configure(tmp_path / "out")
    own = ("max_steps", "num_train_epochs", "per_device_train_batch_size")
    kept = {key: value for key, value in config.training.items() if key not in own}
    train(config.model_copy(update={"training": kept | training}))
    out = " ".join(capsys.readouterr().out.split())
    assert ("hardly change" in out) == said
    if said:
        assert "12 rows want 10 epochs. Leave training.num_train_epochs out" in out
        assert out.index("hardly change") < out.index(" loss ")


def test_what_was_chosen_is_said(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path / "out", "method=p_tuning", "method.length=4")
    training = {k: v for k, v in config.training.items() if k not in ("max_steps", "learning_rate")}
    chosen = config.model_copy(
        update={"training": training | {"learning_rate": 1e-4, "per_device_train_batch_size": 12}}
    )
    result = train(chosen)
    said = capsys.readouterr().out
    assert result.steps == 20
    assert "20 epochs, chosen for 12 rows" in said
    assert "a 200th of what suits method=p_tuning" in said


@pytest.mark.parametrize("method", ["p_tuning", "prompt"])
def test_the_older_checkpointing_is_refused_where_it_loses_gradients(
    configure: Configure, tmp_path: Path, method: str
) -> None:
    option = "training.gradient_checkpointing_kwargs={use_reentrant: true}"
    config = configure(tmp_path / "out", f"method={method}", option)
    with pytest.raises(ConfigError, match="use_reentrant"):
        training_arguments(config, evaluates=False, rows=12)
