"""What a user edits: the model, and data sets beside those that tuneglm knows by name."""

from pathlib import Path
from typing import Any

# a folder with the model's files, or an id of the hub
CHATGLM_REPO_NAME = "THUDM/chatglm-6b"

# name → where its rows are; files lie in `data/`. In `columns`, "" is: there is none.
#     "my_set": {"file_name": "my.json"},
#     "my_questions": {
#         "file_name": "questions.json",
#         "columns": {"prompt": "question", "query": "", "response": "answer", "history": ""},
#     },
#     "on_the_hub": {"hf_hub_url": "OWNER/NAME"},
DATASETS: dict[str, dict[str, Any]] = {}

ROOT = Path(__file__).parents[1]
