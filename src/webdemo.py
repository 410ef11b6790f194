"""Another name of web_demo.py."""

import sys

from config import CHATGLM_REPO_NAME, ROOT
from tuneglm.original.house import House
from tuneglm.original.talking import show_page

if __name__ == "__main__":
    show_page(sys.argv[1:], House(CHATGLM_REPO_NAME, root=ROOT))
