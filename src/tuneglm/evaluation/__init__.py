"""How good a model is, beside its base: loss, answers, questions, published suites."""
