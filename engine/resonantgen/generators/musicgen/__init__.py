"""MusicGen: the published checkpoints on our own transformer and codec.

Copet et al., "Simple and Controllable Music Generation", 2023. Nothing here is imported before a neural track asks.

    files.py        a folder of tensors: safetensors or pickled, whole or in shards
    layout.py       config.json and the names of the tensors, checked
    text.py         words -> vectors (T5)
    chroma.py       sound -> the pitch classes that the melody model follows
    conditioner.py  words and a melody -> what the transformer is conditioned on
    model.py        the whole: load, condition, stream

    words.py        a track's request -> the model's prompt
    player.py       an installed checkpoint, for the generator
    generator.py    the AudioGenerator

Tokens become sound, and sound becomes a loop of the plan's bars, in `generators.sound`.
"""
