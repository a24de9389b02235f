"""What each command of `protocol.COMMANDS` does: one method for each, of the same name, with its fields by name.

Methods that generate are coroutines; the others are done when they return. All of it belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol

from resonantgen.errors import Cancelled, DeviceError, ProjectError, PromptError
from resonantgen.generators.style import load_style
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import Meter
from resonantgen.prompt import intent_to_dict
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.player import Player
from resonantgen.session.jobs import NEW_SEEDS, Job, Order
from resonantgen.session.session import Session
from resonantgen.session.values import Result
from resonantgen_bridge.calls import Call, Listener, Value
from resonantgen_bridge.desk import Desk
from resonantgen_bridge.exporting import export
from resonantgen_bridge.generation import GenerationQueue, Request
from resonantgen_bridge.hub import Hub
from resonantgen_bridge.importing import Made, import_apart, rehearse_apart
from resonantgen_bridge.playback import Playback
from resonantgen_bridge.printing import Wanted, print_apart
from resonantgen_bridge.protocol import VERSION

IMPORT_ATTEMPTS = 3
TEMPO_DECIMALS = 3  # hosts send 32-bit floats: 97.3 arrives as 97.30000305175781

Outcome = dict[str, Value]


class Learner(Protocol):
    """What can bind the next MIDI message to an action."""

    async def learn(self, action: str, seconds: float) -> str: ...


class Commands:
    def __init__(
        self,
        session: Session,
        player: Player,
        playback: Playback,
        queue: GenerationQueue,
        desk: Desk,
        hub: Hub,
        session_changed: Callable[[Call, Mapping[str, Value]], None],
        describe: Callable[[], dict[str, Value]],
        sample_rate: int,
    ) -> None:
        """`session_changed` is told of each change that no generation made, and of the properties that it changes;
        `describe` gives the status.
        """
        self._session = session
        self._player = player
        self._playback = playback
        self._queue = queue
        self._desk = desk
        self._hub = hub
        self._session_changed = session_changed
        self._describe = describe
        self._sample_rate = sample_rate
        self._exporting = asyncio.Lock()  # one at a time, so that several leave the processor to others
        self._importing = asyncio.Lock()  # likewise, and so that none removes what another has just written
        self.learner: Learner | None = None

    # -- music --------------------------------------------------------------------------------------------------------

    async def generate(
        self,
        on_progress: Listener,
        prompt: str,
        tempo: float | None,
        key: str | None,
        meter: str | None,
        bars: int | None,
        seed: int | None,
        tracks: Sequence[str] | None,
        sample_rate: int | None,
        generators: Mapping[str, str] | None,
    ) -> Outcome:
        if not prompt.strip():  # such as a text field on a phone that was left empty
            raise PromptError('The prompt is empty. Say what you want to hear, such as "dark techno".')
        if self._session.settings is None:  # chosen here, so that planning again or a replay gives the same
            seed = secrets.randbelow(NEW_SEEDS) if seed is None else seed
            sample_rate = sample_rate or self._sample_rate
        exact = None if tempo is None else _tempo(tempo)

        options: dict[str, Value] = {"key": key, "meter": meter, "bars": bars, "seed": seed}
        options |= {"tracks": tracks, "sample_rate": sample_rate, "generators": generators}

        def plan(intent: Intent) -> Order:
            return self._session.order_generation(intent, tempo=exact, **options)

        call = Call("generate", {"prompt": prompt, "tempo": tempo, **options})
        return await self._generate(call, plan, on_progress, text=prompt)

    async def regenerate(
        self,
        on_progress: Listener,
        prompt: str,
        track: str | None,
        seed: int | None,
        generators: Mapping[str, str] | None,
    ) -> Outcome:
        def plan(intent: Intent) -> Order:
            return self._session.order_regeneration(intent, track=track, seed=seed, generators=generators)

        call = Call("regenerate", {"prompt": prompt, "track": track, "seed": seed, "generators": generators})
        return await self._generate(call, plan, on_progress, text=prompt)

    async def adjust(self, on_progress: Listener, attribute: str, value: float, track: str | None) -> Outcome:
        def plan(_: Intent) -> Order:
            return self._session.order_adjustment(attribute, value, track)

        call = Call("adjust", {"attribute": attribute, "value": value, "track": track})
        return await self._generate(call, plan, on_progress)

    async def generator(self, on_progress: Listener, track: str, generator: str) -> Outcome:
        role = Role(track)

        def plan(intent: Intent) -> Order:
            order = self._session.order_regeneration(intent, track=track, generators={track: generator})
            settings, playing = self._session.music()
            take = playing.get(role)
            if take is None or take.is_imported or order.job.parts[role].generator != take.recipe.part.generator:
                return order
            nothing = Job(intent, settings, {}, {}, playing)  # it is so already: a surface repeats what it shows
            return replace(order, job=nothing, numbers={})

        call = Call("generator", {"track": track, "generator": generator})
        return await self._generate(call, plan, on_progress)

    async def style(self, on_progress: Listener, style: str) -> Outcome:
        load_style(style)
        return await self._edit(Call("style", {"style": style}), Intent("", style=style), on_progress)

    async def key(self, on_progress: Listener, key: str) -> Outcome:
        return await self._edit(Call("key", {"key": key}), Intent("", key=Key.parse(key)), on_progress)

    async def meter(self, on_progress: Listener, meter: str) -> Outcome:
        return await self._edit(Call("meter", {"meter": meter}), Intent("", meter=Meter.parse(meter)), on_progress)

    async def bars(self, on_progress: Listener, bars: int) -> Outcome:
        return await self._edit(Call("bars", {"bars": bars}), Intent("", bars=bars), on_progress)

    async def import_audio(
        self, on_progress: Listener, file: str, track: str, lock: bool, dry_run: bool, **said: Value
    ) -> Outcome:
        """It is listened to and fitted elsewhere, beside what is made meanwhile, and then waits in line to be taken.

        Where the session has changed by then, once more from the start.
        """
        path = self._session.path
        if dry_run:
            locked = tuple(role for role in Role if role in self._session.locked)
            kept = tuple(role for role in self._session.playing if role not in locked)
            return {**outcome(Result(None, {}, locked, kept)), **await rehearse_apart(path, Path(file), track, said)}
        call = Call("import_audio", {"file": file, "track": track, "lock": lock, "dry_run": False, **said})
        async with self._importing:
            for attempt in range(IMPORT_ATTEMPTS):
                with self._session.imports_kept():
                    made = await import_apart(path, Path(file), track, lock, said)
                    try:
                        return await self._take_import(made, call, on_progress)
                    except Cancelled:
                        given_up = self._session.still_holds(made.order)
                        if given_up or attempt + 1 == IMPORT_ATTEMPTS:
                            raise
        raise AssertionError

    async def _take_import(self, made: Made, call: Call, on_progress: Listener) -> Outcome:
        """Have it recorded in its turn. Raises Cancelled, StorageError; then its sound is removed."""
        act = partial(self._session.fulfil, made.order, [made.take])
        try:
            result = await self._queue.submit(Request(call, act=act), on_progress)
        except BaseException:
            with suppress(ProjectError):
                self._session.discard([made.take])
            raise
        return {**outcome(result), "report": made.report, "heard": made.heard}

    def tempo(self, tempo: float) -> Outcome:
        settings = self._session.settings
        if settings is None or settings.tempo_bpm != _tempo(tempo):
            self._session.set_tempo(_tempo(tempo))
            self._playback.follow()
            self._session_changed(Call("tempo", {"tempo": tempo}), {"tempo": float(_tempo(tempo))})
        return {}

    def lock(self, track: str, locked: bool) -> Outcome:
        if (Role(track) in self._session.locked) != locked:
            (self._session.lock if locked else self._session.unlock)(track)
            self._session_changed(Call("lock", {"track": track, "locked": locked}), {f"track/{track}/lock": locked})
        return {}

    async def undo(self, on_progress: Listener, track: str | None) -> Outcome:
        return await self._step("undo", track, self._session.undo, on_progress)

    async def redo(self, on_progress: Listener, track: str | None) -> Outcome:
        return await self._step("redo", track, self._session.redo, on_progress)

    def auto(self, every: int) -> Outcome:
        self._hub.update({"auto": every})
        return {}

    def cancel(self) -> Outcome:
        return {"cancelled": self._queue.cancel_all()}

    # -- transport ----------------------------------------------------------------------------------------------------

    def play(self, on: bool) -> Outcome:
        self._player.play(on)
        self._hub.update({"play": on})
        return {}

    def stop(self) -> Outcome:
        return self.play(False)

    def seek(self, bar: int, beat: float) -> Outcome:
        settings = self._session.settings
        meter = settings.meter if settings else Meter()
        self._player.seek(bar - 1, round((beat - 1) * meter.unit_ticks))
        return {}

    def loop(self, on: bool, first: int, bars: int) -> Outcome:
        self._player.set_loop(on, first - 1, bars)
        self._hub.update({"loop": on, "loop/first": first, "loop/bars": bars})
        return {}

    # -- mixer --------------------------------------------------------------------------------------------------------

    def gain(self, track: str, gain: float) -> Outcome:
        return self._set_strip(track, gain_db=gain)

    def pan(self, track: str, pan: float) -> Outcome:
        return self._set_strip(track, pan=pan)

    def mute(self, track: str, on: bool) -> Outcome:
        return self._set_strip(track, muted=on)

    def solo(self, track: str, on: bool) -> Outcome:
        return self._set_strip(track, soloed=on)

    def _set_strip(self, track: str, **values: Value) -> Outcome:
        self._desk.set_strip(Role(track), replace(self._desk.strip(Role(track)), **values))
        return {}

    # -- the DAW, MIDI, the engine itself -----------------------------------------------------------------------------

    def map(self, daw_track: int, track: str | None) -> Outcome:
        self._desk.map_track(daw_track, None if track is None else Role(track))
        return {}

    async def midi_learn(self, on_progress: Listener, action: str, seconds: float) -> Outcome:
        if self.learner is None:
            raise DeviceError("No MIDI input is open, so nothing can be learned. See: resonantgen doctor")
        return {"binding": await self.learner.learn(action, seconds)}

    async def export(self, on_progress: Listener, folder: str) -> Outcome:
        async with self._exporting:
            self._desk.save()
            return {"folder": str(await export(self._session.path, Path(folder)))}

    async def print(
        self, on_progress: Listener, tracks: Sequence[str] | None, kind: str, bar: int, scene: int
    ) -> Outcome:
        daw_tracks = {role.value: number for role, number in self._desk.daw_tracks().items()}
        wanted = Wanted(None if tracks is None else tuple(tracks), kind, bar, scene, daw_tracks)
        async with self._exporting:
            printed = await print_apart(self._session.path, wanted)
        folder = str(printed.folder)
        self._hub.tell("printed", folder=folder, bar=bar, scene=scene, tracks=list(printed.tracks), kind=kind)
        return {"folder": folder}

    def session(self) -> Outcome:
        from resonantgen.session.export import session_document

        return {"session": session_document(self._session)}

    def state(self) -> Outcome:
        return {"state": dict(self._hub.state)}

    def status(self) -> Outcome:
        return {"status": self._describe()}

    def ping(self) -> Outcome:
        return {"version": VERSION}

    # -- how it is done -----------------------------------------------------------------------------------------------

    async def _generate(
        self, call: Call, plan: Callable[[Intent], Order], on_progress: Listener, text: str = ""
    ) -> Outcome:
        return outcome(await self._queue.submit(Request(call, plan, text=text), on_progress))

    async def _edit(self, call: Call, intent: Intent, on_progress: Listener) -> Outcome:
        """Change what all tracks share. A host repeats what is so already: then there is nothing to make."""

        def plan(_: Intent) -> Order:
            return self._session.order_regeneration(intent)

        return await self._generate(call, plan, on_progress)

    async def _step(
        self, name: str, track: str | None, step: Callable[[str | None], Result], on_progress: Listener
    ) -> Outcome:
        def act() -> Result:
            return step(track)

        request = Request(Call(name, {"track": track}), act=act)
        return outcome(await self._queue.submit(request, on_progress))


def outcome(result: Result) -> Outcome:
    """What `protocol` lists as the result of a command that makes takes."""
    return {
        "changed": {role.value: take.id if take else None for role, take in result.changed.items()},
        "locked": [role.value for role in result.locked],
        "kept": [role.value for role in result.kept],
        "understood": intent_to_dict(result.intent) if result.intent and result.intent.text else None,
    }


def _tempo(tempo: float) -> Fraction:
    return Fraction(str(round(tempo, TEMPO_DECIMALS)))
