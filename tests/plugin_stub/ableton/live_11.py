"""A program: the Remote Script in a Live 11 of a few lines, for Pythons as old as its own (3.7). Prints what it told.

python3.7 live_11.py FOLDER     FOLDER: with ResonantGen in it
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import types
from pathlib import Path

Simple = types.SimpleNamespace


class Thing:
    """One of Live's objects, with listeners of any name."""

    def __init__(self, **values):
        self.__dict__.update(values)
        self.listeners = []

    def __getattr__(self, name):
        if name.startswith("add_"):
            return self.listeners.append
        if name.startswith("remove_"):
            return self.listeners.remove
        if name.endswith("_has_listener"):
            return self.listeners.__contains__
        if name.endswith("_undo_step"):
            return lambda: None
        raise AttributeError(name)


class Slot(Thing):
    def create_clip(self, length):
        self.has_clip = True
        self.clip = Thing(length=length, add_new_notes=lambda notes: self.__dict__.update(notes=list(notes)))
        return self.clip


def a_set():
    track = Thing(name="Drums", can_be_armed=True, arm=False, is_foldable=False, is_frozen=False, devices=[])
    track.has_audio_input, track.has_midi_input = False, True
    track.clip_slots = [Slot(has_clip=False)]
    song = Thing(tempo=120.0, is_playing=False, current_song_time=0.0, tracks=[track], scenes=[Thing()])
    song.signature_numerator, song.signature_denominator, song.root_note, song.scale_name = 4, 4, 0, "Minor"
    return song


def main():
    live = types.ModuleType("Live")
    numbers = {"major": 11, "minor": 3, "bugfix": 2}
    application = Simple(**{f"get_{name}_version": lambda value=value: value for name, value in numbers.items()})
    live.Application = Simple(get_application=lambda: application)
    live.ClipSlot = Simple(ClipSlot=type("ClipSlot", (), {}))
    live.Clip = Simple(MidiNoteSpecification=lambda **values: values)
    sys.modules["Live"] = live
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    import ResonantGen
    from ResonantGen import link, osc

    engine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    engine.bind(("127.0.0.1", 0))
    engine.settimeout(20)
    link.ENGINE_PORT = engine.getsockname()[1]
    song, log, told = a_set(), [], []
    script = ResonantGen.create_instance(Simple(song=lambda: song, log_message=log.append))

    def tell(*message):
        engine.sendto(osc.encode(*message), ("127.0.0.1", told[0][1][2]))
        script.update_display()

    def hear(count):
        told.extend(osc.decode(engine.recv(65536)) for _ in range(count))

    script.update_display()
    hear(1)
    tell("/daw/welcome", 5)
    hear(7)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "drums.wav").write_bytes(b"RIFF")
        index = {"version": 1, "name": "night", "tempo": 120, "meter": "4/4", "bars": 2, "kind": "audio"}
        index["tracks"] = [{"role": "drums", "wav": "drums.wav", "notes": [[0, 1, 36, 100]]}]
        (Path(folder) / "print.json").write_text(json.dumps(index))
        tell("/daw/print", folder, 0)
        hear(1)
    tell("/daw/tempo", 99.0)
    hear(1)
    script.disconnect()
    engine.close()
    slot = song.tracks[0].clip_slots[0]
    left = len(song.listeners) + len(song.tracks[0].listeners)
    last = told[-2][1][1:]
    print(json.dumps([told[1:-2], last, told[-1], slot.clip.name, slot.notes, song.tempo, left, len(log)]))


main()
