"""ChatGLM2's meaning of `rope_ratio`: positions are divided by it (linear interpolation)."""

from collections.abc import Mapping
from typing import Any

from tuneglm.models.layout import ROPE_THETA, glm_layout


def rope_parameters(ratio: float) -> dict[str, Any]:
    """`rope_ratio` → transformers' rope parameters."""
    if ratio == 1:
        return {"rope_type": "default", "rope_theta": ROPE_THETA}
    return {"rope_type": "linear", "rope_theta": ROPE_THETA, "factor": ratio}


def rope_ratio(parameters: Mapping[str, Any]) -> float:
    """The way back."""
    return float(parameters.get("factor", 1))


LAYOUT = glm_layout(rope_parameters, rope_ratio)
