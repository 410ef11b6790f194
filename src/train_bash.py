"""Another name of finetune.py, as other versions of ChatGLM-Efficient-Tuning had it."""

import sys

from config import CHATGLM_REPO_NAME, DATASETS, ROOT
from tuneglm.original.finetune import finetune
from tuneglm.original.house import House

if __name__ == "__main__":
    finetune(sys.argv[1:], House(CHATGLM_REPO_NAME, DATASETS, ROOT))
