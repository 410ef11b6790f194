"""`tuneglm doctor`: what is here, what it can do, and what to do about what is not well.

finding    Finding: one line
software   Python, the libraries, what extras add
machine    devices, memory, disk, hubs
model      a model's folder, an adapter, a run
"""
