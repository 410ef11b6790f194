"""What suits a method where the run file says nothing, and what would certainly not suit it."""

import math

from tuneglm.methods import METHODS

# times the method's own learning rate
FAR = 15
# a model has to see some hundred rows before it shows anything, and a large set once
ROWS_SEEN, FEWEST = 1000, 3
# Adam moves a weight by about the learning rate a step, and the rate falls to zero: in fewer
# steps by less than ten times the rate, of which the model's answers show next to nothing
FEW_STEPS = 20
LARGE_SETS = {50_000: 1, 10_000: 2}


def epochs_for(method: str, rows: int) -> int:
    """How often a set of so many rows is seen: few rows more often, a large set once."""
    for size, epochs in LARGE_SETS.items():
        if rows >= size:
            return epochs
    wanted = math.ceil(ROWS_SEEN / max(rows, 1))
    return min(METHODS[method].most_epochs, max(FEWEST, wanted))


def doubt_of_rate(method: str, rate: float) -> str | None:
    """What is to be said of a learning rate that is far from the method's own."""
    own = METHODS[method].learning_rate
    if rate == 0 or own / FAR <= rate <= own * FAR:
        return None
    much = f"{rate / own:,.0f} times" if rate > own else f"a {own / rate:,.0f}th of"
    return (
        f"training.learning_rate={rate:g} is {much} what suits method={method} ({own:g}); "
        "rates of other methods differ from it by as much."
    )


def doubt_of_steps(method: str, rows: int, epochs: float, steps: int) -> str | None:
    """What is to be said of a number of epochs that gives a few rows too few steps."""
    wanted = epochs_for(method, rows)
    if steps >= FEW_STEPS or epochs >= wanted:
        return None
    seen = "1 row" if rows == 1 else f"{rows:,} rows"
    doubt = (
        f"{'1 step hardly changes' if steps == 1 else f'{steps} steps hardly change'} a model: "
        f"{seen} want {wanted} epochs. Leave training.num_train_epochs out, or set it to {wanted}."
    )
    then = math.ceil(steps * wanted / epochs)
    if then >= FEW_STEPS or steps >= rows * epochs:
        return doubt
    return (
        f"{doubt} That makes {then} steps: lower training.per_device_train_batch_size or "
        "training.gradient_accumulation_steps too."
    )
