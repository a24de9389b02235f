"""The one table of what an engine can be told, what it keeps as its state, and what it tells.

`COMMANDS`, `PROPERTIES` and `EVENTS` list each thing once: name, fields with types, units and ranges, OSC address, HTTP
path. Everything else derives from them: parsing and checking (`parsing.py`), the replies and the typed client
(`client.py`), OSC (`osc_server.py`), the reference page (`docs/protocol.md`, made by `reference.py`). To add a command,
add one entry here and one method of the same name to `commands.py`.

A track is one of the four roles, or its number from 1: drums, bass, harmony, melody. Bars and beats count from 1, as
musicians count them.
"""

from __future__ import annotations

from resonantgen.music.time import MAX_BARS
from resonantgen.prompt.intent import ATTRIBUTES
from resonantgen.session.source import FITS
from resonantgen_bridge import fields
from resonantgen_bridge.schema import Command, Event, Field, Kind, Property

VERSION = 1  # of the protocol; a client refuses an engine of another
OSC_ROOT = "/rg"
HTTP_ROOT = "/v1"

ZMQ_COMMANDS_PORT, ZMQ_EVENTS_PORT, PLUGIN_PORT, OSC_PORT = 5570, 5571, 5590, 9010
METER_HZ = 20
MAX_TEXT = 1000  # characters of a prompt or any other text
MAX_SEED = (1 << 63) - 1
MAX_DAW_BAR, MAX_SCENE = 9999, 9999
PRINT_KINDS = ("audio", "midi")

_SEED = Field("seed", Kind.INT, "the same words and seed give the same bytes", None, low=0, high=MAX_SEED)

COMMANDS: tuple[Command, ...] = (
    # -- music --------------------------------------------------------------------------------------------------------
    Command(
        "generate",
        "Make a new start from words: all unlocked tracks, or only those named.",
        (
            Field("prompt", Kind.TEXT, "what to play"),
            fields.tempo(None),
            Field("key", Kind.TEXT, fields.KEY.doc, None),
            Field("meter", Kind.TEXT, fields.METER.doc, None),
            fields.bars(None),
            _SEED,
            Field("tracks", Kind.TRACKS, "only these", None),
            fields.SAMPLE_RATE,
            fields.GENERATORS,
        ),
        fields.OUTCOME,
        osc=("prompt",),
        http="POST /generate",
        generates=True,
    ),
    Command(
        "regenerate",
        "Change what the words name, or every unlocked track, around what is locked. Without words: other ideas.",
        (
            Field("prompt", Kind.TEXT, "what to change", ""),
            fields.track("only this one", None),
            _SEED,
            fields.GENERATORS,
        ),
        fields.OUTCOME,
        osc=("regenerate", "track/{track}/regenerate"),
        http="POST /regenerate",
        trigger=True,
        generates=True,
    ),
    Command(
        "adjust",
        "Set how a track, or every unlocked one, is played, and make it again with the same idea.",
        (fields.ATTRIBUTE, fields.LEVEL, fields.track("only this one", None)),
        fields.OUTCOME,
        osc=("track/{track}/{attribute}", "{attribute}"),
        http="PUT /attributes/{attribute}",
        generates=True,
    ),
    Command(
        "generator",
        "Have another generator play a track, and make it again with the same idea.",
        (fields.track(), fields.GENERATOR),
        fields.OUTCOME,
        osc=("track/{track}/generator",),
        http="PUT /tracks/{track}/generator",
        generates=True,
    ),
    Command(
        "style",
        "Change the style of every unlocked track.",
        (Field("style", Kind.TEXT, "the id of a preset in presets/styles"),),
        fields.OUTCOME,
        osc=("style",),
        http="PUT /style",
        generates=True,
    ),
    Command(
        "key",
        "Change the key. Refused while a pitched track is locked.",
        (fields.KEY,),
        fields.OUTCOME,
        osc=("key",),
        http="PUT /key",
        generates=True,
    ),
    Command(
        "meter",
        "Change the meter. Refused while a track is locked.",
        (fields.METER,),
        fields.OUTCOME,
        osc=("meter",),
        http="PUT /meter",
        generates=True,
    ),
    Command(
        "bars",
        "Change the length of the loop. Refused while a track is locked.",
        (fields.bars(),),
        fields.OUTCOME,
        osc=("bars",),
        http="PUT /bars",
        generates=True,
    ),
    Command(
        "import_audio",
        "Make a track of a recording, a sound file on the engine's machine, whose bytes the project keeps.",
        (
            Field("file", Kind.TEXT, "which; a path, from the folder that the engine was started in"),
            fields.track(),
            fields.on("freeze the track at once", "lock", default=False),
            fields.tempo(None),
            Field("meter", Kind.TEXT, "its own; 4/4, or as the project has it", None),
            Field("offset", Kind.FLOAT, "where in it the first bar begins; heard", None, low=0, high=86_400, unit="s"),
            fields.bars(None),
            Field("key", Kind.TEXT, "its own, instead of what is heard", None),
            Field("chords", Kind.TEXT, 'its own, one a bar: "Am F C G"; "Am | F G" where bars share', None),
            Field("fit", Kind.TEXT, "of another tempo than the project's", "refuse", choices=FITS),
            fields.on("only listen: nothing is changed, and a conflict is no error", "dry_run", default=False),
        ),
        (
            *fields.OUTCOME,
            Field("report", Kind.TEXT, "what was heard and what became of it, in lines"),
            Field("heard", Kind.TEXT, "the same by name, as `resonantgen import --dry-run --json` gives it"),
        ),
        http="POST /import",
        generates=True,
    ),
    Command(
        "tempo",
        "Play at another tempo from the next bar line, from the same notes; locked takes' stored bytes stay.",
        (fields.tempo(),),
        osc=("tempo",),
        http="PUT /tempo",
    ),
    Command(
        "lock",
        "Freeze a track, or free it.",
        (fields.track(), fields.on("0 frees it", "locked")),
        osc=("track/{track}/lock",),
        http="PUT /tracks/{track}/lock",
    ),
    Command(
        "undo",
        "Take back the last change, or bring back a track's earlier take.",
        (fields.track("only this one", None),),
        fields.OUTCOME,
        osc=("undo", "track/{track}/undo"),
        http="POST /undo",
        trigger=True,
    ),
    Command(
        "redo",
        "Do again what undo took back.",
        (fields.track("only this one", None),),
        fields.OUTCOME,
        osc=("redo", "track/{track}/redo"),
        http="POST /redo",
        trigger=True,
    ),
    Command(
        "auto",
        "Regenerate the unlocked tracks every so many bars.",
        (Field("every", Kind.INT, "0 is never", low=0, high=MAX_BARS, unit="bars"),),
        osc=("auto",),
        http="PUT /auto",
    ),
    Command(
        "cancel",
        "Give up what is being generated, and what waits for it.",
        (),
        (Field("cancelled", Kind.INT, "how many commands were given up"),),
        osc=("cancel",),
        http="POST /cancel",
        trigger=True,
    ),
    # -- transport ----------------------------------------------------------------------------------------------------
    Command("play", "Play, or stop.", (fields.on("0 stops"),), osc=("play",), http="PUT /play"),
    Command("stop", "Stop where it is.", osc=("stop",), http="POST /stop", trigger=True),
    Command(
        "seek",
        "Go to a place in the loop.",
        (
            Field("bar", Kind.INT, "from 1", low=1, high=MAX_BARS),
            Field("beat", Kind.FLOAT, "from 1, in units of the meter", 1.0, low=1, high=13),
        ),
        osc=("seek",),
        http="PUT /position",
    ),
    Command(
        "loop",
        "Play around, all of it or some bars of it; or once, and stop.",
        (
            fields.on("0: play once, and stop"),
            Field("first", Kind.INT, "first bar", 1, low=1, high=MAX_BARS),
            Field("bars", Kind.INT, "how many; 0 is to the end", 0, low=0, high=MAX_BARS, unit="bars"),
        ),
        osc=("loop",),
        http="PUT /loop",
    ),
    # -- mixer --------------------------------------------------------------------------------------------------------
    Command(
        "gain",
        "Set a track's gain.",
        (fields.track(), fields.GAIN),
        osc=("track/{track}/gain",),
        http="PUT /tracks/{track}/gain",
    ),
    Command(
        "pan",
        "Set a track's balance.",
        (fields.track(), fields.PAN),
        osc=("track/{track}/pan",),
        http="PUT /tracks/{track}/pan",
    ),
    Command(
        "mute",
        "Silence a track.",
        (fields.track(), fields.on("0: no more")),
        osc=("track/{track}/mute",),
        http="PUT /tracks/{track}/mute",
    ),
    Command(
        "solo",
        "Hear only this track, and others that are soloed.",
        (fields.track(), fields.on("0: no more")),
        osc=("track/{track}/solo",),
        http="PUT /tracks/{track}/solo",
    ),
    # -- the DAW, MIDI, the engine itself -----------------------------------------------------------------------------
    Command(
        "map",
        "Say which of our tracks a track of the DAW is. Otherwise names decide.",
        (
            Field("daw_track", Kind.INT, "its number in the DAW, from 1", low=1, high=999),
            Field("track", Kind.TRACK, "ours; left out: names decide again", None),
        ),
        osc=("map",),
        http="PUT /map/{daw_track}",
    ),
    Command(
        "midi_learn",
        "Bind the next MIDI note, controller or program that arrives to an action.",
        (
            Field("action", Kind.TEXT, 'as in a mapping file: "regenerate bass", "lock drums", "density bass"'),
            Field("seconds", Kind.FLOAT, "how long to wait", 30.0, low=0.1, high=600, unit="s"),
        ),
        (Field("binding", Kind.TEXT, 'what was bound: "note 36 on channel 10"'),),
        http="POST /midi/learn",
    ),
    Command(
        "export",
        "Write stems, mix, MIDI and session.json to a folder on the engine's machine.",
        (Field("folder", Kind.TEXT, "where; a path, from the folder that the engine was started in"),),
        (Field("folder", Kind.TEXT, "where it is"),),
        http="POST /export",
    ),
    Command(
        "print",
        "Put what plays into the DAW, at its bar lines: items in REAPER, clips in Live.",
        (
            Field("tracks", Kind.TRACKS, "only these", None),
            Field("kind", Kind.TEXT, "what they are made of", "audio", choices=PRINT_KINDS),
            Field("bar", Kind.INT, "the DAW's bar at which the items begin", 1, low=1, high=MAX_DAW_BAR),
            Field("scene", Kind.INT, "Live's scene, from 1; 0: the first that is free", 0, low=0, high=MAX_SCENE),
        ),
        (Field("folder", Kind.TEXT, "where the files are, on the engine's machine"),),
        osc=("print",),
        http="POST /print",
        trigger=True,
    ),
    Command(
        "session",
        "What plays, as `resonantgen show --json` gives it.",
        result=(Field("session", Kind.TEXT, "the document"),),
        http="GET /session",
    ),
    Command(
        "state",
        "The value of every property.",
        result=(Field("state", Kind.TEXT, "key: value"),),
        http="GET /state",
    ),
    Command(
        "status",
        "How the engine does: versions, addresses, audio, MIDI, underruns, render-ahead, generation times.",
        result=(Field("status", Kind.TEXT, "the document"),),
        http="GET /status",
    ),
    Command(
        "ping",
        "Is anyone there?",
        result=(Field("version", Kind.INT, "of the protocol"),),
        osc=("ping",),
        http="GET /ping",
    ),
)

PROPERTIES: tuple[Property, ...] = (
    Property("project", Field("project", Kind.TEXT, "the project's folder")),
    Property("prompt", Field("prompt", Kind.TEXT, "the last words that made or changed music")),
    Property("style", Field("style", Kind.TEXT, "the id of the style; empty before there is music")),
    Property("tempo", fields.tempo()),
    Property("key", fields.KEY),
    Property("meter", fields.METER),
    Property("bars", Field("bars", Kind.INT, "length of the loop; 0 before there is music", unit="bars")),
    Property("chords", Field("chords", Kind.TEXT, 'such as "Am F G"')),
    Property("play", Field("on", Kind.BOOL, "whether it plays")),
    Property("loop", Field("on", Kind.BOOL, "whether it plays around")),
    Property("loop/first", Field("first", Kind.INT, "first bar of the loop")),
    Property("loop/bars", Field("bars", Kind.INT, "bars in the loop; 0 is to the end", unit="bars")),
    Property("auto", Field("every", Kind.INT, "bars between regenerations; 0 is never", unit="bars")),
    Property("busy", Field("busy", Kind.BOOL, "whether something is being generated")),
    Property("audio", Field("audio", Kind.TEXT, "the device that plays, or what is wrong with it")),
    *(
        Property(name, Field("value", Kind.FLOAT, f"{name} of everything that is made", low=-1, high=1))
        for name in ATTRIBUTES
    ),
    Property("track/{track}/lock", fields.on("whether it is frozen", "locked")),
    Property("track/{track}/take", Field("take", Kind.TEXT, 'the id of the take, such as "bass-3"; empty: silent')),
    Property("track/{track}/summary", Field("summary", Kind.TEXT, "what it plays, for people")),
    Property("track/{track}/generator", Field("generator", Kind.TEXT, "who made the take; empty: silent")),
    Property("track/{track}/fit", Field("fit", Kind.TEXT, "how sound was brought onto the grid; empty: it is notes")),
    Property("track/{track}/gain", fields.GAIN),
    Property("track/{track}/pan", fields.PAN),
    Property("track/{track}/mute", fields.on("whether it is silenced")),
    Property("track/{track}/solo", fields.on("whether it is soloed")),
    *(
        Property(f"track/{{track}}/{name}", Field("value", Kind.FLOAT, f"its {name}", low=-1, high=1))
        for name in ATTRIBUTES
    ),
)

EVENTS: tuple[Event, ...] = (
    Event(
        "changed", "Properties have other values now.", (Field("state", Kind.TEXT, "key: value of those that changed"),)
    ),
    Event(
        "progress",
        "A track that is being made has come so far.",
        (
            fields.track(),
            Field("stage", Kind.TEXT, "what is done", choices=("notes", "sound")),
            Field("bar", Kind.INT, "bars that are done"),
            Field("bars", Kind.INT, "of so many"),
        ),
        osc="track/{track}/progress",
    ),
    Event(
        "take",
        "A take was committed: it is on disk, and plays from the next bar line.",
        (fields.track(), Field("take", Kind.TEXT, "its id"), Field("summary", Kind.TEXT, "what it plays")),
        osc="track/{track}/new",
    ),
    Event(
        "swap",
        "A track's sound changed on a bar line; sent when it is mixed, a little before it is heard.",
        (
            fields.track(),
            Field("material", Kind.TEXT, 'a take\'s id, with "~" behind it while its end is still rendered'),
            Field("bar", Kind.INT, "bar of the loop"),
            Field("frame", Kind.INT, "of the output stream, from 0", unit="frames"),
            Field("gain", Kind.FLOAT, 'with a "~": from the level of the instrument to what is heard', unit="dB"),
            Field("first", Kind.INT, 'with a "~": the frame of the loop that it begins with', unit="frames"),
            Field("frames", Kind.INT, 'with a "~": how much of it there is so far', unit="frames"),
        ),
    ),
    Event(
        "transport",
        "It plays from another place or at another tempo, or stops; sent when it is mixed, before it is heard.",
        (
            fields.on("whether it plays"),
            Field("frame", Kind.INT, "of the output stream, from which on this is so", unit="frames"),
            Field("place", Kind.INT, "of the loop, where it is at that frame", unit="frames"),
            Field("tempo", Kind.FLOAT, "of the loop", unit="bpm"),
            Field("meter", Kind.TEXT, "of the loop"),
            Field("bars", Kind.INT, "of the loop", unit="bars"),
        ),
    ),
    Event("beat", "A beat begins.", (Field("bar", Kind.INT, "from 1"), Field("beat", Kind.INT, "from 1")), osc="beat"),
    Event(
        "level",
        f"How loud a track is, {METER_HZ} times a second.",
        (
            fields.track(),
            Field("peak", Kind.FLOAT, "largest sample since the last one", unit="dBFS"),
            Field("rms", Kind.FLOAT, "mean power since", unit="dBFS"),
        ),
        osc="track/{track}/level",
    ),
    Event(
        "applied",
        "A command changed the session; in the order in which they took effect.",
        (
            Field("number", Kind.INT, "from 1 since the engine started"),
            Field("command", Kind.TEXT, "its name"),
            Field("arguments", Kind.TEXT, "by name, with everything that was chosen for it"),
        ),
    ),
    Event(
        "printed",
        "What was to be put into the DAW is on disk, for the scripts in REAPER and Live.",
        (
            Field("folder", Kind.TEXT, "where, on the engine's machine"),
            Field("bar", Kind.INT, "at which the items begin, from 1"),
            Field("scene", Kind.INT, "of the clips, from 1; 0: the first that is free"),
            Field("tracks", Kind.TRACKS, "which were printed"),
            Field("kind", Kind.TEXT, "what they are made of", choices=PRINT_KINDS),
        ),
    ),
    Event(
        "problem",
        "Something went wrong that no command caused.",
        (Field("code", Kind.TEXT, "its kind"), Field("message", Kind.TEXT, "what it is and what to do")),
        osc="problem",
    ),
    Event(
        "heartbeat",
        "The engine is there, once a second.",
        (Field("seconds", Kind.FLOAT, "since it started", unit="s"),),
    ),
)

COMMAND: dict[str, Command] = {command.name: command for command in COMMANDS}
EVENT: dict[str, Event] = {event.name: event for event in EVENTS}
PROPERTY_OF_KEY: dict[str, Property] = {key: prop for prop in PROPERTIES for key in prop.state_keys()}
