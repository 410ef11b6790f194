"""The OpenAI API over one model: rows that share a running batch, and the routes to it.

app, routes             addresses, and what each does
door, limits            keys, rates, sizes
messages, schema        what a request may say
requests, tool_choice   from what is asked to jobs
scheduler               the thread that owns the model
room                    how many rows there is memory for
text, spelling          tokens as text, and as bytes
embedding               a text's vector
"""
