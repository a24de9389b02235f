"""A REAPER for Lua scripts: real Lua, and a strict `reaper` table over a small model of a project.

Each function takes exactly the arguments of ReaScript's documentation (`SIGNATURES`, from the API's Lua listings of
REAPER 6 and 7); an unknown function, another number or kind of arguments, an unknown attribute, a global variable and
a change outside of an undo block are mistakes. They raise in Lua, and are kept in `mistakes`, since a script may catch
what is raised: `finish` fails with them. Times are in seconds, bars count from 0 here, as in the API.
"""

# ruff: noqa: N802 - functions have the names of the API
from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

from fake_song import PPQ, Change, Item, Source, Take, TempoMap, Track

# Kinds of arguments; "?" marks those that may be left out.
_SIGNATURES = """
    AddMediaItemToTrack track
    AddTakeToMediaItem item
    CountTrackMediaItems track
    CountTracks project
    CreateNewMIDIItemInProj track number number boolean?
    DeleteTrackMediaItem track item
    EnumerateSubdirectories string integer
    GetActiveTake item
    GetMediaItemInfo_Value item string
    GetMediaSourceLength source
    GetMediaTrackInfo_Value track string
    GetProjectPathEx project
    GetSetMediaItemInfo_String item string string boolean
    GetSetMediaItemTakeInfo_String take string string boolean
    GetSetMediaTrackInfo_String track string string boolean
    GetTrack project integer
    GetTrackMediaItem track integer
    InsertTrackAtIndex integer boolean
    MIDI_GetPPQPosFromProjTime take number
    MIDI_InsertNote take boolean boolean number number integer integer integer boolean?
    MIDI_Sort take
    PCM_Source_BuildPeaks source integer
    PCM_Source_CreateFromFile string
    PCM_Source_Destroy source
    PreventUIRefresh integer
    RecursiveCreateDirectory string integer
    SetMediaItemInfo_Value item string number
    SetMediaItemTakeInfo_Value take string number
    SetMediaItemTake_Source take source
    ShowConsoleMsg string
    SplitMediaItem item number
    TimeMap2_beatsToTime project number integer?
    TimeMap_GetTimeSigAtTime project number
    TimeMap_QNToTime_abs project number
    TimeMap_timeToQN_abs project number
    TrackFX_AddByName track string boolean integer
    TrackList_AdjustWindows boolean
    Undo_BeginBlock2 project
    Undo_EndBlock2 project string integer
    UpdateArrange
    UpdateItemInProject item
    defer function
    time_precise
"""
SIGNATURES = {words[0]: tuple(words[1:]) for words in (line.split() for line in _SIGNATURES.strip().splitlines())}


class Mistake(Exception):
    """What REAPER would refuse, or do something else with."""


class FakeReaper:
    """`run` starts a script; `tick` lets time pass, and its deferred function run.

    Set `tracks`, `tempo` and `media` (the project's folder) as a test needs them.
    """

    def __init__(self, runtime: Callable[..., Any], media: Path) -> None:
        """`runtime` is the LuaRuntime of a `lupa` module."""
        self.tracks: list[Track] = []
        self.tempo = TempoMap(Change(0, 120.0))
        self.media = media
        self.console: list[str] = []
        self.undo_steps: list[str] = []
        self.mistakes: list[str] = []
        self.failing: set[str] = set()  # functions of which REAPER says that they did not work
        self.sources: list[Source] = []  # that are open
        self.calls: list[str] = []
        self._before: list[list[Track]] = []  # the tracks before each step of undo
        self._seconds = 0.0
        self._deferred: Callable[[], None] | None = None
        self._undo_depth = self._refresh_depth = 0
        self._listings: dict[str, list[str]] = {}
        self._lua = runtime(unpack_returned_tuples=True, register_eval=False)
        self._new_handle, guard, protect = self._lua.execute(_GLUE)
        self._handles: dict[int, tuple[object, Any]] = {}
        table = self._lua.table_from({name: guard(self._function(name)) for name in SIGNATURES})
        self._lua.globals().reaper = table
        protect(table, self._refuse)

    # -- what tests do ------------------------------------------------------------------------------------------------

    def run(self, script: Path) -> None:
        self._lua.execute("dofile(...)", str(script))

    def tick(self, seconds: float = 2.0) -> None:
        """Let so much time pass, and then the script go on."""
        self._seconds += seconds
        assert self._deferred is not None, "the script has ended"
        deferred, self._deferred = self._deferred, None
        deferred()

    def undo(self) -> None:
        """Take the last step back."""
        self.undo_steps.pop()
        self.tracks = self._before.pop()

    def finish(self) -> None:
        """What must hold whenever the script has paused."""
        assert self.mistakes == []
        assert (self._undo_depth, self._refresh_depth) == (0, 0)
        assert self._deferred is not None, "the script has ended"

    # -- strictness ---------------------------------------------------------------------------------------------------

    def _refuse(self, what: str) -> None:
        self.mistakes.append(what)
        raise Mistake(what)

    def _function(self, name: str) -> Callable[..., Any]:
        kinds = SIGNATURES[name]
        method = getattr(self, f"_{name}")
        needed = len([kind for kind in kinds if not kind.endswith("?")])

        def call(count: int, *arguments: Any) -> Any:
            self.calls.append(name)
            if not needed <= count <= len(kinds):
                self._refuse(f"{name}: {count} arguments")
            for value, kind in zip(arguments, kinds, strict=False):
                if not _is(value, kind.rstrip("?")):
                    self._refuse(f"{name}: {value!r} is no {kind}")
            try:
                result = method(*arguments)
            except Mistake as mistake:
                self.mistakes.append(f"{name}: {mistake}")
                raise
            return self._outward(result)

        return call

    def _outward(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._outward(one) for one in value)
        if isinstance(value, (Track, Item, Take, Source)):
            if id(value) not in self._handles:
                self._handles[id(value)] = (value, self._new_handle(value))
            return self._handles[id(value)][1]
        return value

    def _changing(self) -> None:
        if not self._undo_depth:
            raise Mistake("the project is changed outside of an undo block")

    def _track_of(self, item: Item) -> Track:
        found = [track for track in self.tracks if item in track.items]
        if not found:
            raise Mistake("an item that is in no track")
        return found[0]

    # -- the functions ------------------------------------------------------------------------------------------------

    def _AddMediaItemToTrack(self, track: Track) -> Item:
        self._changing()
        track.items.append(Item())
        return track.items[-1]

    def _AddTakeToMediaItem(self, item: Item) -> Take:
        self._changing()
        item.take = Take()
        return item.take

    def _CountTrackMediaItems(self, track: Track) -> int:
        return len(track.items)

    def _CountTracks(self, project: object) -> int:
        return len(self.tracks)

    def _CreateNewMIDIItemInProj(self, track: Track, start: float, end: float, in_quarters: bool = False) -> Item:
        self._changing()
        if in_quarters:
            start, end = self.tempo.seconds_of(start), self.tempo.seconds_of(end)
        item = Item(take=Take(start=start, notes=[]))
        item.values |= {"D_POSITION": start, "D_LENGTH": end - start}
        track.items.append(item)
        return item

    def _DeleteTrackMediaItem(self, track: Track, item: Item) -> bool:
        self._changing()
        if item not in track.items:
            raise Mistake("the item is not in that track")
        track.items.remove(item)
        return True

    def _EnumerateSubdirectories(self, path: str, index: int) -> str | None:
        if index == -1:
            self._listings.pop(path, None)
            return None
        if path not in self._listings:
            folder = Path(path)
            entries = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []  # in no useful order
            self._listings[path] = [entry.name for entry in entries if entry.is_dir()]
        names = self._listings[path]
        return names[index] if index < len(names) else None

    def _GetActiveTake(self, item: Item) -> Take | None:
        return item.take

    def _GetMediaItemInfo_Value(self, item: Item, name: str) -> float:
        self._track_of(item)
        return _known(item.values, name)

    def _GetMediaSourceLength(self, source: Source) -> tuple[float, bool]:
        return source.seconds, False

    def _GetMediaTrackInfo_Value(self, track: Track, name: str) -> float:
        return _known({"I_RECARM": float(track.armed)}, name)

    def _GetProjectPathEx(self, project: object) -> str:
        return str(self.media)

    def _GetSetMediaItemInfo_String(self, item: Item, name: str, value: str, setting: bool) -> tuple[bool, str]:
        self._track_of(item)
        if not name.startswith("P_EXT:"):
            raise Mistake(f"no attribute {name}")
        if setting:
            self._changing()
            item.ext[name] = value
        return name in item.ext, item.ext.get(name, "")

    def _GetSetMediaItemTakeInfo_String(self, take: Take, name: str, value: str, setting: bool) -> tuple[bool, str]:
        _known({"P_NAME": take.name}, name)
        if setting:
            self._changing()
            take.name = value
        return True, take.name

    def _GetSetMediaTrackInfo_String(self, track: Track, name: str, value: str, setting: bool) -> tuple[bool, str]:
        _known({"P_NAME": track.name}, name)
        if setting:
            self._changing()
            track.name = value
        return True, track.name

    def _GetTrack(self, project: object, index: int) -> Track | None:
        return self.tracks[index] if 0 <= index < len(self.tracks) else None

    def _GetTrackMediaItem(self, track: Track, index: int) -> Item | None:
        return track.items[index] if 0 <= index < len(track.items) else None

    def _InsertTrackAtIndex(self, index: int, defaults: bool) -> None:
        self._changing()
        self.tracks.insert(min(index, len(self.tracks)), Track())

    def _MIDI_GetPPQPosFromProjTime(self, take: Take, seconds: float) -> float:
        if take.notes is None:
            raise Mistake("no MIDI take")
        return (self.tempo.quarters_of(seconds) - self.tempo.quarters_of(take.start)) * PPQ

    def _MIDI_InsertNote(
        self,
        take: Take,
        selected: bool,
        muted: bool,
        start: float,
        end: float,
        channel: int,
        pitch: int,
        velocity: int,
        unsorted: bool = False,
    ) -> bool:
        self._changing()
        if take.notes is None or not (
            0 <= start < end and 0 <= channel < 16 and 0 <= pitch < 128 and 0 < velocity < 128
        ):
            raise Mistake("no such note")
        take.notes.append((start, end, channel, pitch, velocity))
        take.sorted = not unsorted
        return True

    def _MIDI_Sort(self, take: Take) -> None:
        take.sorted = True

    def _PCM_Source_BuildPeaks(self, source: Source, mode: int) -> int:
        """Done after two runs."""
        if mode == 0:
            source.peaks = "begun"
            return 1
        if mode == 1:
            left = {"begun": "half", "half": "done"}[source.peaks]
            source.peaks = left
            return int(left == "half")
        if mode != 2 or source.peaks != "done":
            raise Mistake(f"mode {mode} after {source.peaks}")
        source.peaks = "built"
        return 0

    def _PCM_Source_CreateFromFile(self, name: str) -> Source | None:
        if "PCM_Source_CreateFromFile" in self.failing:
            return None
        try:
            seconds = soundfile.info(name).duration
        except RuntimeError:
            return None
        self.sources.append(Source(Path(name), seconds))
        return self.sources[-1]

    def _PCM_Source_Destroy(self, source: Source) -> None:
        if any(item.take and item.take.source is source for track in self.tracks for item in track.items):
            raise Mistake("a source that a take uses")
        self.sources.remove(source)

    def _PreventUIRefresh(self, count: int) -> None:
        self._refresh_depth += count
        if self._refresh_depth < 0:
            raise Mistake("more refreshes allowed than were prevented")

    def _RecursiveCreateDirectory(self, path: str, ignored: int) -> int:
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
        except OSError:
            return 0
        return 1

    def _SetMediaItemInfo_Value(self, item: Item, name: str, value: float) -> bool:
        self._changing()
        self._track_of(item)
        _known(item.values, name)
        item.values[name] = float(value)
        item.updated = False
        return True

    def _SetMediaItemTakeInfo_Value(self, take: Take, name: str, value: float) -> bool:
        self._changing()
        _known(take.values, name)
        take.values[name] = float(value)
        return True

    def _SetMediaItemTake_Source(self, take: Take, source: Source) -> bool:
        self._changing()
        if "SetMediaItemTake_Source" in self.failing:
            raise RuntimeError("REAPER has had enough")
        take.source = source
        return True

    def _ShowConsoleMsg(self, text: str) -> None:
        self.console.append(text)

    def _SplitMediaItem(self, item: Item, seconds: float) -> Item | None:
        self._changing()
        if not item.start < seconds < item.end:
            return None
        right = Item(dict(item.values), {}, copy.copy(item.take))  # its documentation promises no P_EXT
        right.values |= {"D_POSITION": seconds, "D_LENGTH": item.end - seconds}
        if right.take is not None:
            right.take.values = dict(right.take.values)
            right.take.values["D_STARTOFFS"] += (seconds - item.start) * right.take.values["D_PLAYRATE"]
        item.values["D_LENGTH"] = seconds - item.start
        self._track_of(item).items.append(right)
        return right

    def _TimeMap2_beatsToTime(self, project: object, beats: float, bar: int | None = None) -> float:
        if beats or bar is None:
            raise Mistake("this fake knows whole bars only")
        return self.tempo.bar_seconds(bar)

    def _TimeMap_GetTimeSigAtTime(self, project: object, seconds: float) -> tuple[int, int, float]:
        change = self.tempo.at(seconds)[2]
        return change.numerator, change.denominator, change.bpm

    def _TimeMap_QNToTime_abs(self, project: object, quarters: float) -> float:
        return self.tempo.seconds_of(quarters)

    def _TimeMap_timeToQN_abs(self, project: object, seconds: float) -> float:
        return self.tempo.quarters_of(seconds)

    def _TrackFX_AddByName(self, track: Track, name: str, of_input: bool, instantiate: int) -> int:
        if instantiate or of_input:
            raise Mistake("this fake only looks for what is there, and not on the input")
        return next((at for at, effect in enumerate(track.effects) if name.lower() in effect.lower()), -1)

    def _TrackList_AdjustWindows(self, minor: bool) -> None:
        pass

    def _Undo_BeginBlock2(self, project: object) -> None:
        if self._undo_depth:
            raise Mistake("one undo block within another")
        self._undo_depth += 1
        memo = {id(source): source for source in self.sources}
        self._before.append(copy.deepcopy(self.tracks, memo))

    def _Undo_EndBlock2(self, project: object, text: str, flags: int) -> None:
        if not self._undo_depth:
            raise Mistake("no undo block was begun")
        self._undo_depth -= 1
        self.undo_steps.append(text)

    def _UpdateArrange(self) -> None:
        pass

    def _UpdateItemInProject(self, item: Item) -> None:
        self._track_of(item)
        item.updated = True

    def _defer(self, function: Callable[[], None]) -> None:
        if self._deferred is not None:
            raise Mistake("two functions are deferred at once")
        self._deferred = function

    def _time_precise(self) -> float:
        return self._seconds


_KINDS: dict[str, type | tuple[type, ...]] = {
    "track": Track,
    "item": Item,
    "take": Take,
    "source": Source,
    "string": str,
    "boolean": bool,
}


def _is(value: object, kind: str) -> bool:
    if kind == "project":
        return value == 0 and type(value) is int
    if kind == "integer":
        return type(value) is int
    if kind == "number":
        return type(value) in (int, float) and value == value
    if kind == "function":
        return callable(value)
    return isinstance(value, _KINDS[kind])


def _known(values: dict[str, Any], name: str) -> Any:
    if name not in values:
        raise Mistake(f"no attribute {name}")
    return values[name]


# Handles are tables, since Lua compares them and uses them as keys; whoever looks into one is refused.
_GLUE = """
local objects = setmetatable({}, { __mode = "k" })
local refused = { __index = function() error("a handle has no fields") end,
                  __newindex = function() error("a handle has no fields") end, __metatable = false }
local function new_handle(object)
  local handle = setmetatable({}, refused)
  objects[handle] = object
  return handle
end
local function guard(call)
  return function(...)
    local count, arguments = select("#", ...), { ... }
    for index = 1, count do
      local object = objects[arguments[index]]
      if object ~= nil then arguments[index] = object end
    end
    return call(count, table.unpack(arguments, 1, count))
  end
end
local function protect(reaper, refuse)
  setmetatable(reaper, { __index = function(_, name) refuse("no function " .. tostring(name)) end,
                         __newindex = function(_, name) refuse("reaper." .. tostring(name) .. " is set") end })
  setmetatable(_G, { __index = function(_, name) refuse("no variable " .. tostring(name)) end,
                     __newindex = function(_, name) refuse("global variable " .. tostring(name)) end })
end
return new_handle, guard, protect
"""
