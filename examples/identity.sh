#!/bin/sh
# Teach a model who it is. Rows about a name and its maker, and on other things so that
# nothing else is forgotten, are written first; a model that says who it is asked before and after.
#   sh examples/identity.sh 星河 北斗实验室 --model_name_or_path path/to/chatglm-6b
# What is asked, and when it is enough: docs/en/identity.md (tuneglm train configs/identity.yaml).
set -e
name="${1:?a name}" author="${2:?who made it}"
shift 2
tuneglm data identity --name "$name" --author "$author" --dir data
python "$(dirname "$0")/../src/finetune.py" \
    --do_train \
    --dataset identity \
    --finetuning_type lora \
    --output_dir output/identity \
    --per_device_train_batch_size 2 \
    --gradient_accumulation_steps 2 \
    --lr_scheduler_type cosine \
    --logging_steps 10 \
    --learning_rate 1e-3 \
    --num_train_epochs 10.0 \
    --fp16 \
    "$@"
