"""Learning rates and epochs by method and number of rows: chosen, said, and doubted."""

from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.errors import ConfigError
from tuneglm.methods import METHODS
from tuneglm.methods.presets import doubt_of_rate, epochs_for
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
