"""Answers written token by token: rows that join a running batch and leave it.

batch, slots    the rows that run, step by step; their keys and values
apart           rows whose network keeps no list of keys and values, one after another
fitting         whether a network is one for slots
graphs          a step as one graph of a GPU's kernels
row, places     an answer that is being written; where its tokens stand
arranging       rows that share a pass brought side by side
sampling        the next token of each row
"""
