"""Another name of infer.py, as other versions of ChatGLM-Efficient-Tuning had it."""

import sys

from config import CHATGLM_REPO_NAME, ROOT
from tuneglm.original.house import House
from tuneglm.original.talking import talk

if __name__ == "__main__":
    talk(sys.argv[1:], House(CHATGLM_REPO_NAME, root=ROOT))
