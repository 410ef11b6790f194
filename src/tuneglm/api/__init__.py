"""The OpenAI API over one model: rows that share a running batch, and the routes to it.

app        routes and errors in OpenAI's shape      schema    what a request may say
scheduler  the thread that owns the model           batch     the rows that run, step by step
limits     keys, rates, sizes                       slots     their keys and values
"""
