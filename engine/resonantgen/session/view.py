"""Where a session stands, and how it sounds: all that can be asked of one without changing it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from resonantgen.errors import ProjectError
from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Role
from resonantgen.music.theory import Progression
from resonantgen.music.time import TempoMap
from resonantgen.prompt.intent import Intent
from resonantgen.session.produce import remake
from resonantgen.session.rendition import read_samples, rendition_wav
from resonantgen.session.setup import Setup
from resonantgen.session.source import Source
from resonantgen.session.store import Store
from resonantgen.session.studio import Studio
from resonantgen.session.values import Settings, Take

CACHED_TAKES = 64  # an engine that regenerates all night must not grow


class SessionView:
    """What a `Session` tells. One thread owns it, as it owns the session."""

    def __init__(self, store: Store, studio: Studio | None) -> None:
        self._store = store
        self._studio = studio or Studio()
        self._cache: OrderedDict[str, Take] = OrderedDict()  # those used last, the latest at the end
        try:
            self._project = store.project()
            self._setup = store.setup()
        except BaseException:
            store.close()
            raise

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
    def setup(self) -> Setup:
        """How the project is set up around its music: the mixer, and the tracks of the DAW."""
        return self._setup

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
        revisions = self._store.revisions_with_words(up_to=self._project.revision)
        return tuple(r.intent for r in revisions if r.intent is not None)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that are in effect, oldest first."""
        return tuple(intent.text for intent in self.understood)

    @property
    def last_prompt(self) -> str:
        """The newest prompt that is in effect; empty if none is."""
        revisions = self._store.revisions_with_words(up_to=self._project.revision, newest=1)
        return revisions[0].intent.text if revisions and revisions[0].intent else ""

    @property
    def chords(self) -> Progression:
        """What the harmony plays; without one, what others were written to. Empty where there is neither.

        What a generator made as sound does not count, for it was told no chords; a recording's were heard or said.
        """
        playing = self.playing
        for role in (Role.HARMONY, Role.BASS, Role.MELODY):
            if role in playing and (playing[role].is_imported or not playing[role].is_sound):
                return playing[role].recipe.chords
        return Progression(())

    def takes(self, role: Role) -> tuple[Take, ...]:
        """Every take that a track ever had, oldest first."""
        return tuple(self._take(take_id) for take_id in self._store.take_ids(role))

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
        """A take's stem as it was recorded, [frames, 2]. Raises ProjectDamaged."""
        return read_samples(self.wav(take))

    def rendition(self, take: Take, tempo: TempoMap) -> Samples:
        """A take at a tempo and sample rate, [tempo.frames(bars), 2]. Raises ProjectDamaged, ModelUnusable.

        As it was recorded, if that is how; otherwise its notes are rendered again, or its sound is stretched.
        """
        return read_samples(self.rendition_wav(take, tempo))

    def rendition_wav(self, take: Take, tempo: TempoMap) -> bytes:
        """`rendition` as a WAV file; as it was recorded, the very bytes that are stored."""
        return rendition_wav(take, tempo, self._studio, self.wav)

    def imported_file(self, source: Source) -> Path:
        """The file that a take was cut from, as it came. Raises ProjectDamaged, StorageError."""
        return self._store.imported_file(source)

    def tokens(self, take: Take) -> bytes:
        """The token file of an imported take that has one. Raises ProjectDamaged if it is not what was written."""
        assert take.imported is not None and take.imported.tokens is not None, take.id
        return self._store.read_tokens(take.id, take.imported.tokens)

    def recordings(self, takes: Iterable[Take]) -> dict[str, bytes]:
        """The WAV files of the takes among these that are sound, by hash: what another process cannot make itself.

        Raises ProjectDamaged.
        """
        return {take.audio_sha256: self.wav(take) for take in takes if take.is_sound}

    def stems(self, roles: Collection[Role] = tuple(Role)) -> dict[Role, bytes]:
        """A WAV file of each of these that plays, all at the session's tempo and of one length, in order.

        Raises ProjectDamaged, ProjectError if there is none.
        """
        settings, playing = self.music()
        return {role: self.rendition_wav(take, settings.tempo) for role, take in playing.items() if role in roles}

    def mix(self, stems: Mapping[Role, bytes] | None = None) -> Samples:
        """All tracks together, [frames, 2]; `stems` if they are at hand. Raises ProjectDamaged, ProjectError."""
        settings, _ = self.music()
        files = self.stems() if stems is None else stems
        return self._studio.mix([read_samples(data) for data in files.values()], settings)

    def export(self, folder: str | Path) -> Path:
        """Write stems, mix, MIDI and session.json to a folder. Raises StorageError, ProjectDamaged, ProjectError."""
        from resonantgen.session.export import export

        return export(self, Path(folder))

    def replay(self, take: Take) -> tuple[str, str]:
        """Make a take again from its recipe: the hashes of its notes and of its WAV file. They equal the take's own.

        Raises ModelError where the model that performed it is not there; the take plays all the same.
        """
        context = {role: self._take(take_id) for role, take_id in take.recipe.context.items()}
        score, data = remake(take.recipe, context, self._studio, self.wav, self.imported_file)
        return score.sha256, hashlib.sha256(data).hexdigest()

    def _take(self, take_id: str) -> Take:
        take = self._cache.get(take_id) or self._store.take(take_id)
        self._cache[take_id] = take
        self._cache.move_to_end(take_id)
        if len(self._cache) > CACHED_TAKES:
            self._cache.popitem(last=False)
        return take
