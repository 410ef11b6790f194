#!/bin/sh
# Talk to what finetune.sh made; `clear` begins anew, `stop` ends.
# Another result: sh examples/infer.sh --checkpoint_dir FOLDER
set -e
python "$(dirname "$0")/../src/infer.py" --checkpoint_dir output/lora "$@"
