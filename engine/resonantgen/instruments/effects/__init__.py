"""Effects: sound to sound, streaming, each with its state apart (the Effect contract of `instruments/base.py`)."""
