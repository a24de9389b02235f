"""The Session: what a person does with a project. Everything else in this package serves it.

One thread owns a Session. Every command either happens whole, on disk before the call returns, or raises a
ResonantGenError and changes nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import MappingProxyType, TracebackType

from resonantgen.errors import BadValue, ProjectError
from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Progression
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Intent
from resonantgen.session import history
from resonantgen.session.folder import has_database
from resonantgen.session.jobs import NEW_SEEDS, Job, Standing, generation, parse_role, regeneration
from resonantgen.session.produce import OnProgress, compose, make_takes, no_progress, render_wav
from resonantgen.session.settings import Options
from resonantgen.session.store import Store
from resonantgen.session.studio import Studio
from resonantgen.session.values import Project, Result, Revision, Settings, Take


class Track:
    """One of the four tracks of a session. It shows where the session stands now."""

    def __init__(self, session: Session, role: Role) -> None:
        self._session = session
        self.role = role

    def __repr__(self) -> str:
        return f"<Track {self.role.value}: {self.take.id if self.take else 'silent'}{', locked' * self.locked}>"

    @property
    def take(self) -> Take | None:
        """What the track plays; None if it does not play."""
        return self._session.playing.get(self.role)

    @property
    def takes(self) -> tuple[Take, ...]:
        """Every take that the track ever had, oldest first, also those that were undone."""
        return self._session.takes(self.role)

    @property
    def locked(self) -> bool:
        return self.role in self._session.locked

    def lock(self) -> None:
        """Freeze the track: until it is unlocked, nothing changes its notes or its sound. Raises BadValue if silent."""
        self._session.lock(self.role)

    def unlock(self) -> None:
        self._session.unlock(self.role)


class Session:
    """An open project: four tracks, what was asked, and its history. Make one with `create` or `open`.

    Use it in a `with` block, or call `close`.
    """

    def __init__(self, store: Store, studio: Studio | None = None, *, new: bool = False) -> None:
        self._store = store
        self._studio = studio or Studio()
        self._new = new
        self._cache: dict[str, Take] = {}
        try:
            self._project = store.project()
        except BaseException:
            store.close()
            raise
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

    # -- where the session stands -------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._store.path

    @property
    def readonly(self) -> bool:
        return self._store.readonly

    @property
    def settings(self) -> Settings | None:
        """What all tracks share; None until something was generated."""
        return self._project.settings

    @property
    def playing(self) -> dict[Role, Take]:
        """The take of each track that plays, in order."""
        states = self._project.tracks
        return {role: self._take(take) for role in Role if (take := states[role].take) is not None}

    @property
    def locked(self) -> frozenset[Role]:
        return self._project.locked

    @property
    def understood(self) -> tuple[Intent, ...]:
        """What each prompt that is in effect was understood to mean, oldest first."""
        revisions = self._store.revisions(up_to=self._project.revision)
        return tuple(r.intent for r in revisions if r.intent is not None and r.intent.text)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that are in effect, oldest first."""
        return tuple(intent.text for intent in self.understood)

    @property
    def chords(self) -> Progression:
        """What the harmony plays; without one, what others were written to. Empty with drums alone."""
        playing = self.playing
        for role in (Role.HARMONY, Role.BASS, Role.MELODY):
            if role in playing:
                return playing[role].recipe.chords
        return Progression(())

    def takes(self, role: Role) -> tuple[Take, ...]:
        """Every take that a track ever had, oldest first."""
        return tuple(self._take(take_id) for take_id in self._store.take_ids(role))

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
        on_progress: OnProgress = no_progress,
    ) -> Result:
        """Make a new start from words: all tracks that are not locked, or only `tracks`, beside those that are there.

        Without a seed, the first generation of a project takes any; later ones derive theirs from it.
        Raises BadValue, PromptError, TrackLocked, ProjectError.
        """
        self._require_writer()
        options = Options.parse(tempo, key, meter, bars, sample_rate)
        roles = None if tracks is None else [parse_role(name) for name in tracks]
        if roles == []:
            raise BadValue(f"No track to make. Tracks: {', '.join(Role)}.")
        intent = prompt if isinstance(prompt, Intent) else _understand(prompt)
        chosen = secrets.randbelow(NEW_SEEDS) if seed is None else _check_seed(seed)
        standing = self._standing(chosen)
        if seed is None and self._project.seed is not None:
            chosen = standing.new_seed()
        return self._perform("generate", generation(standing, intent, options, chosen, roles), standing, on_progress)

    def regenerate(
        self,
        prompt: str | Intent = "",
        *,
        track: str | None = None,
        seed: int | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Result:
        """Change what is there as the words say, around what is locked; without words, make other ideas.

        An edit keeps each track's seed, so the idea stays; a `seed` is used as given, even if that repeats the take.
        Raises BadValue, PromptError, TrackLocked, ProjectError.
        """
        self._require_writer()
        role = None if track is None else parse_role(track)
        if seed is not None:
            _check_seed(seed)
        if isinstance(prompt, str):
            prompt = _understand(prompt) if prompt.strip() else Intent("")
        standing = self._standing(0)
        return self._perform("regenerate", regeneration(standing, prompt, role, seed), standing, on_progress)

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

    def export(self, folder: str | Path) -> Path:
        """Write stems, mix, MIDI and session.json to a folder. Raises StorageError, ProjectDamaged, ProjectError."""
        from resonantgen.session.export import export

        return export(self, Path(folder))

    def music(self) -> tuple[Settings, dict[Role, Take]]:
        """What all tracks share, and the take of each track that plays. Raises ProjectError if there is none yet."""
        settings, playing = self.settings, self.playing
        if settings is None or not playing:
            raise ProjectError(f'{self.path} holds no music yet. Start with: resonantgen generate "dark techno"')
        return settings, playing

    # -- audio --------------------------------------------------------------------------------------------------------

    def wav(self, take: Take) -> bytes:
        """The bytes of a take's WAV file. Raises ProjectDamaged if they are not those that were written."""
        return self._store.read_audio(take)

    def samples(self, take: Take) -> Samples:
        """A take's stem as samples, [frames, 2]. Raises ProjectDamaged."""
        from resonantgen.instruments.wav import read_wav

        return read_wav(BytesIO(self.wav(take)))[0]

    def mix(self) -> Samples:
        """All tracks together, [frames, 2]. Raises ProjectDamaged, ProjectError if there is none."""
        settings, playing = self.music()
        return self._studio.mix([self.samples(take) for take in playing.values()], settings)

    def replay(self, take: Take) -> tuple[str, str]:
        """Make a take again from its recipe: the hashes of its notes and of its WAV file. They equal the take's own."""
        context = {role: self._take(take_id).score for role, take_id in take.recipe.context.items()}
        score = compose(take.recipe, context, self._studio)
        data = render_wav(score, take.recipe, self._studio.sound(take.recipe), self._studio)
        return score.sha256, hashlib.sha256(data).hexdigest()

    # -- how it is done -----------------------------------------------------------------------------------------------

    def _standing(self, first_seed: int) -> Standing:
        project = self._project
        seed = first_seed if project.seed is None else project.seed
        return Standing(project.settings, self.playing, project.locked, seed, self._store.count_takes())

    def _perform(self, command: str, job: Job, standing: Standing, on_progress: OnProgress) -> Result:
        numbers = {role: len(self._store.take_ids(role)) + 1 for role in job.parts}
        try:
            takes = make_takes(job, standing, self._studio, numbers, self._store.add_audio, on_progress)
            states = self._project.tracks
            changed = {take.role: states[take.role].moved_to(take.id) for take in takes}
            changed |= {role: states[role].moved_to(None) for role in job.removed}
            project = replace(self._project, seed=standing.seed)
            step = history.record(project, command, changed, job.settings, job.intent)
            self._commit(step.project, step.revision, takes)
        except BaseException:
            with suppress(ProjectError):  # an interrupted commit may have happened or not: the disk knows
                self._project = self._store.project()
                self._store.remove_leftovers()
            raise
        return self._result(step.moved, tuple(r for r in Role if r in project.locked), job.intent)

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

    def _take(self, take_id: str) -> Take:
        if take_id not in self._cache:
            self._cache[take_id] = self._store.take(take_id)
        return self._cache[take_id]

    def _require_writer(self) -> None:
        if self.readonly:
            raise ProjectError(f"{self.path} was opened for reading only. Open it without readonly to change it.")


def _project_path(path: str | Path) -> Path:
    if not str(path).strip():
        raise BadValue("A project's name cannot be empty. Give a folder, such as night.rg.")
    return Path(path)


def _understand(prompt: str) -> Intent:
    from resonantgen.prompt import understand  # imported here: it loads the lexicon and the embeddings

    return understand(prompt)


def _check_seed(seed: int) -> int:
    if not 0 <= seed < 1 << 63:
        raise BadValue(f"{seed} is no seed. Seeds are whole numbers from 0 to 9223372036854775807.")
    return seed
