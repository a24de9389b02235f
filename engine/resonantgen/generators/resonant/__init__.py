"""Models that a person has trained on their own sound (`resonantgen train lm`), as generators of tracks.

conditions.py   role, tempo, key and words -> the prefix that the transformer reads first
model.py        a trained model on disk: transformer, conditions, which codec
player.py       a trained model, ready to play, for the generator
"""
