"""ChatGLM3's meaning of `rope_ratio`, which GLM-4 kept: it multiplies the rotary base."""

from collections.abc import Mapping
from typing import Any

from tuneglm.models.layout import ROPE_THETA, glm_layout


def rope_parameters(ratio: float) -> dict[str, Any]:
    """`rope_ratio` → transformers' rope parameters."""
    return {"rope_type": "default", "rope_theta": ROPE_THETA * ratio}


def rope_ratio(parameters: Mapping[str, Any]) -> float:
    """The way back."""
    return float(parameters["rope_theta"]) / ROPE_THETA


LAYOUT = glm_layout(rope_parameters, rope_ratio)
