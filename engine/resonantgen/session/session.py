"""The Session: what a person does with a project. Everything else in this package serves it.

One thread owns a Session; only `add_audio` may be called in others. Every command either happens whole, on disk before
the call returns, or raises a ResonantGenError and changes nothing.

To make music elsewhere (in another process, on another machine), a command comes in two halves: `order_*` finds out
what is to be made, which takes no time, and `fulfil` records what was made. `generate` and `regenerate` do both.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType

from resonantgen.errors import BadValue, Cancelled, ProjectError
from resonantgen.generators.registry import generator_name
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import Meter, parse_tempo
from resonantgen.prompt.intent import Intent
from resonantgen.session import history
from resonantgen.session.folder import has_database
from resonantgen.session.import_options import NOTHING_SAID, ImportOptions
from resonantgen.session.importing import OnPlan, Prepared, no_plan, prepare_import
from resonantgen.session.jobs import (
    NEW_SEEDS,
    Job,
    Order,
    Standing,
    adjustment,
    generation,
    outcome,
    parse_role,
    regeneration,
    still_holds,
)
from resonantgen.session.produce import OnProgress, make_takes, no_progress
from resonantgen.session.settings import Options, checked_generators
from resonantgen.session.setup import Setup, checked_setup
from resonantgen.session.store import Store
from resonantgen.session.studio import Studio
from resonantgen.session.track import Track
from resonantgen.session.values import Project, Result, Revision, Take
from resonantgen.session.view import SessionView


class Session(SessionView):
    """An open project: four tracks, what was asked, and its history. Make one with `create` or `open`.

    Use it in a `with` block, or call `close`.
    """

    def __init__(self, store: Store, studio: Studio | None = None, *, new: bool = False) -> None:
        super().__init__(store, studio)
        self._new = new
        self.tracks: Mapping[str, Track] = MappingProxyType({role: Track(self, role) for role in Role})

    @classmethod
    def create(cls, path: str | Path, studio: Studio | None = None) -> Session:
        """Make a new project and open it for writing.

        Leaving its `with` block by an exception before anything was generated removes the project again, but not a
        folder that was there before.
        Raises ProjectError if something is there already, StorageError.
        """
        return cls(Store.create(_project_path(path)), studio, new=True)

    @classmethod
    def open(cls, path: str | Path, *, readonly: bool = False, studio: Studio | None = None) -> Session:
        """Open a project. One process at a time may write it; any number may read it.

        Raises ProjectNotFound, NotAProject, ProjectTooNew, ProjectBusy, ProjectDamaged, StorageError.
        """
        return cls(Store.open(_project_path(path), readonly), studio)

    @classmethod
    def open_or_create(cls, path: str | Path, studio: Studio | None = None) -> Session:
        """`open` if there is a project, otherwise `create`."""
        path = _project_path(path)
        if not has_database(path):
            try:
                return cls.create(path, studio)
            except ProjectError:
                if not has_database(path):  # otherwise another process has just made it
                    raise
        return cls.open(path, studio=studio)

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._new and self._project.settings is None:
            self._store.discard()
        else:
            self.close()

    # -- commands -----------------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: str | Intent,
        *,
        tempo: str | float | Fraction | None = None,
        key: str | Key | None = None,
        meter: str | Meter | None = None,
        bars: int | None = None,
        seed: int | None = None,
        sample_rate: int | None = None,
        tracks: Sequence[str] | None = None,
        generators: Mapping[str, str] | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Result:
        """Make a new start from words: all tracks that are not locked, or only `tracks`, beside those that are there.

        Without a seed, the first generation of a project takes any; later ones derive theirs from it. `generators`
        names those of tracks that are to be sound: {"drums": "musicgen-small"}.
        Raises BadValue, PromptError, TrackLocked, ProjectError, ModelError.
        """
        order = self.order_generation(
            prompt,
            tempo=tempo,
            key=key,
            meter=meter,
            bars=bars,
            seed=seed,
            sample_rate=sample_rate,
            tracks=tracks,
            generators=generators,
        )
        return self._perform(order, on_progress)

    def regenerate(
        self,
        prompt: str | Intent = "",
        *,
        track: str | None = None,
        seed: int | None = None,
        generators: Mapping[str, str] | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Result:
        """Change what is there as the words say, around what is locked; without words, make other ideas.

        An edit keeps each track's seed, so the idea stays; a `seed` is used as given, even if that repeats the take.
        Tracks keep their generators but for those in `generators`; "pattern" is that of notes.
        Raises BadValue, PromptError, TrackLocked, ProjectError, ModelError.
        """
        order = self.order_regeneration(prompt, track=track, seed=seed, generators=generators)
        return self._perform(order, on_progress)

    def adjust(
        self, attribute: str, value: float, *, track: str | None = None, on_progress: OnProgress = no_progress
    ) -> Result:
        """Set how one track is played, or all that are not locked: an attribute of prompt.intent.ATTRIBUTES, -1 to 1.

        Tracks keep their seeds, so the idea stays. Raises BadValue, TrackLocked, ProjectError, ModelError.
        """
        return self._perform(self.order_adjustment(attribute, value, track), on_progress)

    def import_audio(
        self,
        path: str | Path,
        track: str,
        *,
        lock: bool = False,
        options: ImportOptions = NOTHING_SAID,
        on_plan: OnPlan = no_plan,
    ) -> Result:
        """Make a track of somebody's own recording: a sound file, whose bytes the project keeps as they are.

        What is heard in it is given to `on_plan` before the track is made; `options` correct it. With `lock`, the track
        is locked at once. A project without other tracks takes the recording's tempo, meter, key and length.
        Raises AudioError, BadValue, TrackLocked, StorageError, ModelUnusable.
        """
        self._require_writer()
        try:
            prepared = self.prepare_import(path, track, options, on_plan)
            locks = frozenset({prepared.take.role} if lock else ())
            return self.fulfil(replace(prepared.order, locks=locks), [prepared.take])
        except BaseException:
            with suppress(ProjectError):
                self._store.remove_leftovers()
            raise

    def set_tempo(self, tempo: str | float | Fraction) -> None:
        """Play at another tempo: notes are rendered again, sound is stretched. Every take stays as it was recorded, so
        locks do not matter.

        It is no step of history: undo keeps it, but for undoing what itself changed the tempo.
        Raises BadValue, ProjectError if there is no music yet.
        """
        self._require_writer()
        settings = replace(self.music()[0], tempo_bpm=parse_tempo(tempo))
        if settings != self.settings:
            self._commit(replace(self._project, settings=settings))

    def set_setup(self, setup: Setup) -> None:
        """Keep another setup with the project. It is no step of history. Raises BadValue."""
        self._require_writer()
        setup = checked_setup(setup)
        self._store.set_setup(setup)
        self._setup = setup

    # -- commands in two halves ---------------------------------------------------------------------------------------

    def order_generation(
        self,
        prompt: str | Intent,
        *,
        tempo: str | float | Fraction | None = None,
        key: str | Key | None = None,
        meter: str | Meter | None = None,
        bars: int | None = None,
        seed: int | None = None,
        sample_rate: int | None = None,
        tracks: Sequence[str] | None = None,
        generators: Mapping[str, str] | None = None,
    ) -> Order:
        """What `generate` would make. Nothing is changed. Raises as it does."""
        self._require_writer()
        options = Options.parse(tempo, key, meter, bars, sample_rate)
        roles = None if tracks is None else [parse_role(name) for name in tracks]
        if roles == []:
            raise BadValue(f"No track to make. Tracks: {', '.join(Role)}.")
        asked = _parse_generators(generators)
        intent = prompt if isinstance(prompt, Intent) else _understand(prompt)
        chosen = secrets.randbelow(NEW_SEEDS) if seed is None else _check_seed(seed)
        standing = self._standing(chosen)
        if seed is None and self._project.seed is not None:
            chosen = standing.new_seed()
        return self._order("generate", generation(standing, intent, options, chosen, roles, asked), standing)

    def order_regeneration(
        self,
        prompt: str | Intent = "",
        *,
        track: str | None = None,
        seed: int | None = None,
        generators: Mapping[str, str] | None = None,
    ) -> Order:
        """What `regenerate` would make. Nothing is changed. Raises as it does.

        An Intent without text sets values rather than says words: where all is so already, there is nothing to make.
        """
        self._require_writer()
        role = None if track is None else parse_role(track)
        if seed is not None:
            _check_seed(seed)
        asked = _parse_generators(generators)
        if isinstance(prompt, str):
            prompt = _understand(prompt) if prompt.strip() else Intent("")
        standing = self._standing(0)
        return self._order("regenerate", regeneration(standing, prompt, role, seed, asked), standing)

    def order_adjustment(self, attribute: str, value: float, track: str | None = None) -> Order:
        """What `adjust` would make: nothing where all is so already. Nothing is changed. Raises as it does."""
        self._require_writer()
        role = None if track is None else parse_role(track)
        standing = self._standing(0)
        return self._order("adjust", adjustment(standing, attribute, value, role), standing)

    def prepare_import(
        self, path: str | Path, track: str, options: ImportOptions = NOTHING_SAID, on_plan: OnPlan = no_plan
    ) -> Prepared:
        """All of `import_audio` but its last step, `fulfil`: a reader beside the session's writer can do it, too.

        What it puts into the project's folder goes with the next writer, or with `imports_kept`, if nobody records it.
        Raises as that does.
        """
        role = parse_role(track)
        number = self._store.last_number(role) + 1
        prepared = prepare_import(Path(path), role, options, self.standing, number, self._store, self._studio, on_plan)
        self._store.add_audio(prepared.wav)
        if prepared.tokens is not None:
            self._store.add_tokens(prepared.tokens)
        return prepared

    @contextmanager
    def imports_kept(self) -> Iterator[None]:
        """For the writer, around a reader's `prepare_import` and its `fulfil`, one at a time: what it has put into the
        folder of imports is kept only where a take needs it.
        """
        before = self._store.import_names()
        try:
            yield
        finally:
            with suppress(ProjectError):
                self._store.remove_imports(self._store.import_names() - before)

    @property
    def standing(self) -> Standing:
        """Where the session stands, for those who find out what a command would make."""
        return self._standing(0)

    def still_holds(self, order: Order) -> bool:
        """Whether `fulfil` would take this order: nothing that it rests on has changed since it was given.

        A lock of a track that it leaves alone does not matter, nor does `set_tempo`.
        """
        return still_holds(order, self._standing(order.standing.seed), self._numbers(order.job))

    def add_audio(self, data: bytes) -> str:
        """Store the WAV file of a take to come durably, and give its hash. Any thread may call this.

        `fulfil` or `discard` follows it; after a crash, the next writer removes the file. Raises StorageError.
        """
        return self._store.add_audio(data)

    def fulfil(self, order: Order, takes: Sequence[Take]) -> Result:
        """Record the takes that were made for an order; their audio was stored by `add_audio`.

        An order that changes nothing is fulfilled by no takes, and is no step of history. Raises Cancelled, and forgets
        the takes, if the order does not hold any more (see `still_holds`); StorageError.
        """
        self._require_writer()
        job = order.job
        try:
            if not self.still_holds(order):
                raise Cancelled("The session was changed while this was made, so it was dropped. Ask for it again.")
            assert {take.role: take.number for take in takes} == dict(order.numbers), "other takes than were ordered"
            self._store.check_audio(takes)
            states = self._project.tracks
            changed = {take.role: states[take.role].moved_to(take.id) for take in takes}
            changed |= {role: states[role].moved_to(None) for role in job.removed}
            project = replace(self._project, seed=order.standing.seed)
            settings = outcome(order, self._project.settings)
            if changed:
                project = replace(project, locked=project.locked | order.locks)
                if order.command == "import" and job.staying and project.settings is not None:
                    # As with `set_tempo`: what the project follows the recording in is no step of history.
                    followed = replace(project.settings, tempo_bpm=settings.tempo_bpm, key=settings.key)
                    project = replace(project, settings=followed)
                step = history.record(project, order.command, changed, settings, job.intent)
                self._commit(step.project, step.revision, takes)
            elif settings != project.settings:
                self._commit(replace(project, settings=settings))
        except BaseException:
            with suppress(ProjectError):  # an interrupted commit may have happened or not: the disk knows
                self._project = self._store.project()
                self.discard(takes)
            raise
        locked = tuple(role for role in Role if role in self._project.locked)
        return self._result(tuple(role for role in Role if role in changed), locked, job.intent)

    def discard(self, takes: Sequence[Take]) -> None:
        """Remove the audio of takes that will not be recorded, unless a recorded one has the same.

        Raises ProjectError.
        """
        self._store.remove_audio([take.audio_sha256 for take in takes])

    # -- locks and history --------------------------------------------------------------------------------------------

    def lock(self, track: str) -> None:
        """Freeze a track. Raises BadValue if there is nothing to freeze."""
        self._require_writer()
        role = parse_role(track)
        if role not in self.playing:
            raise BadValue(f"There is no {role.value} to lock yet. Make it with: resonantgen generate")
        self._commit(replace(self._project, locked=self._project.locked | {role}))

    def unlock(self, track: str) -> None:
        self._require_writer()
        self._commit(replace(self._project, locked=self._project.locked - {parse_role(track)}))

    def undo(self, track: str | None = None) -> Result:
        """Take back the last change, or bring back one track's earlier take. Locked tracks stay as they are.

        Raises NothingToUndo, TrackLocked, BadValue.
        """
        self._require_writer()
        if track is None:
            last = self._store.revision(self._project.revision)
            return self._step(history.undo(self._project, last, self._take))
        return self._step(history.undo_track(self._project, parse_role(track), self._take))

    def redo(self, track: str | None = None) -> Result:
        """Do again what `undo` took back. Raises NothingToUndo, TrackLocked, BadValue."""
        self._require_writer()
        if track is None:
            following = self._store.revision(self._project.revision + 1)
            return self._step(history.redo(self._project, following, self._take))
        return self._step(history.redo_track(self._project, parse_role(track), self._take))

    # -- how it is done -----------------------------------------------------------------------------------------------

    def _standing(self, first_seed: int) -> Standing:
        project = self._project
        seed = first_seed if project.seed is None else project.seed
        return Standing(project.settings, self.playing, project.locked, seed, self._store.count_takes())

    def _numbers(self, job: Job) -> dict[Role, int]:
        """Those of the next takes of the tracks that a job makes."""
        return {role: self._store.last_number(role) + 1 for role in job.parts}

    def _order(self, command: str, job: Job, standing: Standing) -> Order:
        return Order(command, job, standing, self._numbers(job))

    def _perform(self, order: Order, on_progress: OnProgress) -> Result:
        """Both halves of a command in this thread."""
        try:
            add_audio, read_audio = self._store.add_audio, self.wav
            takes = make_takes(
                order.job, order.standing, self._studio, order.numbers, add_audio, on_progress, read_audio=read_audio
            )
            return self.fulfil(order, takes)
        except BaseException:
            with suppress(ProjectError):
                self._store.remove_leftovers()
            raise

    def _step(self, step: history.Step) -> Result:
        self._commit(step.project, step.revision)
        return self._result(step.moved, step.stayed)

    def _result(self, moved: Sequence[Role], locked: tuple[Role, ...], intent: Intent | None = None) -> Result:
        playing = self.playing
        kept = tuple(role for role in playing if role not in moved and role not in locked)
        return Result(intent, {role: playing.get(role) for role in Role if role in moved}, locked, kept)

    def _commit(self, project: Project, revision: Revision | None = None, takes: Sequence[Take] = ()) -> None:
        self._store.commit(project, revision, takes)
        self._project = project

    def _require_writer(self) -> None:
        if self.readonly:
            raise ProjectError(f"{self.path} was opened for reading only. Open it without readonly to change it.")


def _project_path(path: str | Path) -> Path:
    if not str(path).strip():
        raise BadValue("A project's name cannot be empty. Give a folder, such as night.rg.")
    return Path(path)


def _parse_generators(asked: Mapping[str, str] | None) -> dict[Role, str]:
    return checked_generators({parse_role(track): generator_name(name) for track, name in (asked or {}).items()})


def _understand(prompt: str) -> Intent:
    from resonantgen.prompt import understand  # imported here: it loads the lexicon and the embeddings

    return understand(prompt)


def _check_seed(seed: int) -> int:
    if not 0 <= seed < 1 << 63:
        raise BadValue(f"{seed} is no seed. Seeds are whole numbers from 0 to 9223372036854775807.")
    return seed
