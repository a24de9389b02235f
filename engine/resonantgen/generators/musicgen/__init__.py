"""MusicGen: the published checkpoints on our own transformer and codec.

Copet et al., "Simple and Controllable Music Generation", 2023. Nothing here is imported before a neural track asks.

    files.py      a folder of tensors: safetensors or pickled, whole or in shards
    layout.py     config.json and the names of the tensors, checked
    text.py       words -> the vectors that the transformer attends to (T5)
    chroma.py     sound -> the pitch classes that the melody model follows
    model.py      the whole: load, condition
    streaming.py  tokens as they come -> sound as it comes
"""
