"""The page for the whole job: data, training, chat, evaluation and export in a browser.

It holds no logic of training: it writes a run file, starts the command that anyone
could type, and shows what that command leaves in its folder.
"""
