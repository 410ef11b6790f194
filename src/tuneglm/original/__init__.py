"""The commands of ChatGLM-Efficient-Tuning as its users type them, translated into runs.

    flags          THE table: old flag → new key, or the reason why it does nothing or is refused
    reading        words of a command, or a file of arguments → the flags that were given
    translation    the flags that were given → a run, remarks, the same as a tuneglm command
    finetune, judging, talking, exporting     what the scripts in `src/` do
    pretrained     `load_pretrained`: a model with `chat` and `stream_chat`
    importing      old arguments, and other tools' files → a run file

Nothing else of this package knows that there was another tool before it.
"""
