"""The OpenAI API over one model: rows that share a running batch, and the routes to it.

app, routes   addresses, and what each does      requests   from what is asked to jobs
scheduler     the thread that owns the model     batch      the rows that run, step by step
limits, door  keys, rates, sizes                 slots      their keys and values
"""
