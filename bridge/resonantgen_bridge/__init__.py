"""Anything that drives a ResonantGen engine, or is driven by one: ZeroMQ, OSC, MIDI, and the hosts that speak them.

>>> from resonantgen_bridge import Client
>>> with Client() as engine:
...     engine.lock(track="drums")
...     engine.regenerate(prompt="make the bass more aggressive")
"""
