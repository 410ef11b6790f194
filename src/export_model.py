"""Write a model with its checkpoints merged into it: docs/en/original.md."""

import sys

from config import CHATGLM_REPO_NAME, ROOT
from tuneglm.original.house import House
from tuneglm.original.talking import export_model

if __name__ == "__main__":
    export_model(sys.argv[1:], House(CHATGLM_REPO_NAME, root=ROOT))
