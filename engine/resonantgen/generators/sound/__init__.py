"""What all generators of sound have in common, whatever model they play with.

performing.py   attempts with a model until what it plays fits; one model in memory at a time
fitting.py      what a model played -> a loop of exactly the plan's bars
streaming.py    tokens as they come -> sound as it comes
"""
