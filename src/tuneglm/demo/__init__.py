"""The small chat model that comes with tuneglm: its text, its making, and the main job on it."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
