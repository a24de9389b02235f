"""What a command is going to make: which tracks, from which settings and seeds, and beside which takes.

Everything that can be wrong with a command is found here, before any music is made or anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resonantgen.errors import BadValue, ProjectError, PromptError, TrackLocked, quoted
from resonantgen.generators.dice import Dice
from resonantgen.generators.registry import PATTERN
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import ATTRIBUTES, Intent, RoleIntent
from resonantgen.session.settings import (
    NO_GENERATORS,
    Generators,
    Options,
    check_shared,
    edited_part,
    edited_settings,
    first_part,
    first_settings,
)
from resonantgen.session.values import Part, Settings, Take

NEW_SEEDS = 1_000_000  # seeds are short, so that a person can type one again


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the session stands when a command arrives."""

    settings: Settings | None
    playing: Mapping[Role, Take]  # the take of each track that has one
    locked: frozenset[Role]
    seed: int  # of the project
    takes_made: int  # ever, also those that were undone

    def new_seed(self, attempt: int = 0) -> int:
        """A seed from the project's seed and what was made before: the same commands give the same music."""
        return Dice(self.seed, "take", self.takes_made).integer(attempt) % NEW_SEEDS


@dataclass(frozen=True, slots=True)
class Job:
    """What to make. `staying` are the takes that the new ones will sound with, and so are written to."""

    intent: Intent
    settings: Settings
    parts: Mapping[Role, Part]  # of the tracks to make, in order
    seeds: Mapping[Role, int]
    staying: Mapping[Role, Take]
    removed: tuple[Role, ...] = ()
    must_differ: bool = False  # try other seeds rather than make the take again that is there

    @property
    def recordings(self) -> tuple[Take, ...]:
        """The takes whose stored sound has to travel with the job: nobody can make it from anything else."""
        performs = any(part.is_sound for part in self.parts.values())
        return tuple(take for take in self.staying.values() if take.is_sound) if performs else ()


@dataclass(frozen=True, slots=True)
class Order:
    """What `Session.order_*` asks a worker to make and `Session.fulfil` takes back: a value, so it can travel.

    Two orders that are equal ask for the same takes.
    """

    command: str  # "generate", "regenerate", "adjust"
    job: Job
    standing: Standing
    numbers: Mapping[Role, int]  # those that the new takes get
    locks: frozenset[Role] = frozenset()  # tracks that are locked with it


def still_holds(order: Order, standing: Standing, numbers: Mapping[Role, int]) -> bool:
    """Whether an order can be recorded where the session stands now. `numbers` are those of the next takes.

    Locks matter on the tracks that it changes. Tempo does not: it is played, not stored in the notes.
    """
    before, now = order.standing.settings, standing.settings
    if before is not None and now is not None:
        now = replace(now, tempo_bpm=before.tempo_bpm)
    return (
        before == now
        and order.standing.playing == standing.playing
        and order.numbers == numbers
        and standing.locked.isdisjoint((*order.job.parts, *order.job.removed))
    )


def outcome(order: Order, now: Settings | None) -> Settings:
    """The settings that an order leads to; at the tempo of now, if the order does not ask for another itself."""
    before, after = order.standing.settings, order.job.settings
    if before is None or now is None or before.tempo_bpm != after.tempo_bpm:
        return after
    return replace(after, tempo_bpm=now.tempo_bpm)


def parse_role(name: str) -> Role:
    """Raises BadValue."""
    try:
        return Role(name.strip().lower())
    except ValueError:
        raise BadValue(f'"{name[:40]}" is no track. Tracks: {", ".join(Role)}.') from None


def generation(
    standing: Standing,
    intent: Intent,
    options: Options,
    seed: int,
    roles: Sequence[Role] | None,
    generators: Generators = NO_GENERATORS,
) -> Job:
    """A new start: every track that is not locked, or those in `roles` beside the ones that are there.

    `generators` are those that tracks are to have; the others get that of notes, whatever they had before.
    Raises TrackLocked if it names a locked track or needs one to change, BadValue, PromptError.
    """
    named = (*(roles or ()), *intent.roles, *generators)
    _refuse_locked((*named, *intent.removed_roles), standing.locked)
    wanted = [
        r for r in Role if (not roles or r in roles) and r not in standing.locked and r not in intent.removed_roles
    ]
    if not wanted:
        if standing.locked:
            raise TrackLocked(_all_locked(standing.locked))
        raise PromptError("The words leave no track to make. Ask for at least one of drums, bass, harmony and melody.")
    _refuse_unmade(generators, wanted)
    removed = tuple(r for r in standing.playing if r in intent.removed_roles)
    staying = {r: take for r, take in standing.playing.items() if r not in wanted and r not in removed}
    beside = standing.settings if staying else None
    settings = first_settings(intent, options, seed, beside)
    if beside is not None:
        check_shared(beside, settings, staying, standing.locked)
    parts = {role: first_part(role, settings, intent, generators.get(role)) for role in wanted}
    return Job(intent, settings, parts, dict.fromkeys(wanted, seed), staying, removed)


def regeneration(
    standing: Standing,
    intent: Intent,
    role: Role | None,
    seed: int | None,
    generators: Generators = NO_GENERATORS,
) -> Job:
    """An edit of what is there, or other ideas for it if the words ask for nothing, or for what is there already.

    `generators` are those that tracks are to have from now on; the others keep theirs. To name one is to name its track
    beside those that the words are about, and without words it is about those tracks alone. Sound that is made anew
    follows the settings as notes do; sound that stays is stretched to another tempo, and is in the way of another key,
    meter or length as a track of notes would be.

    An intent without words sets values: where they are so already, it asks for nothing, and nothing is made.
    Raises TrackLocked if it names a locked track or needs one to change, BadValue, PromptError, ProjectError.
    """
    if standing.settings is None:
        raise ProjectError('There is nothing to regenerate yet. Start with: resonantgen generate "dark techno"')
    sets_values = not intent.text and _demands(intent) != Intent("") and seed is None
    if "style" in intent.guessed:
        # A style that only comes to mind is a start, but no reason to leave the style that is there.
        intent = replace(intent, style=None, guessed=intent.guessed - {"style"})
    removed = tuple(r for r in standing.playing if r in intent.removed_roles)
    if seed is None and not _all_read_words(standing, intent, role, generators):
        _refuse_riddles(intent)
    _refuse_locked((*intent.removed_roles, *generators), standing.locked)
    reached = _reached(standing, intent, role, removed, generators)
    _refuse_unmade(generators, reached)
    staying = {r: take for r, take in standing.playing.items() if r not in reached and r not in removed}
    everywhere = role is None and not _named(intent) and bool(reached)
    settings = edited_settings(standing.settings, intent, everywhere)
    check_shared(standing.settings, settings, staying, standing.locked)

    parts, seeds = {}, {}
    any_edited = settings != standing.settings
    other = standing.new_seed() if seed is None else seed
    for r in reached:
        take = standing.playing.get(r)
        generator = generators.get(r)
        if take is None:
            parts[r] = first_part(r, settings, intent, generator)
        else:
            parts[r] = edited_part(take.recipe.part, r, intent, generator, take.prompt)
        edited = take is not None and (parts[r] != take.recipe.part or settings != standing.settings)
        any_edited |= edited or take is None
        seeds[r] = take.seed if take and (edited or sets_values) and seed is None else other
    if sets_values and not any_edited and not removed:
        return Job(intent, settings, {}, {}, standing.playing)
    if seeds.get(Role.HARMONY) == other:
        settings = replace(settings, seed=other)  # another idea has chords of its own
    return Job(intent, settings, parts, seeds, staying, removed, must_differ=seed is None and not sets_values)


def adjustment(standing: Standing, attribute: str, value: float, role: Role | None) -> Job:
    """One attribute, -1 to 1, of a track or of all that are not locked, set to this value and no other.

    The tracks keep their seeds. Where all have the value already there is nothing to make; otherwise all are made,
    since they are written to each other. Raises BadValue, TrackLocked, ProjectError.
    """
    if standing.settings is None:
        raise ProjectError('There is nothing to adjust yet. Start with: resonantgen generate "dark techno"')
    if attribute not in ATTRIBUTES:
        raise BadValue(f"{quoted(attribute)} is nothing to adjust. There is: {', '.join(ATTRIBUTES)}.")
    if not -1.0 <= value <= 1.0:  # nor NaN
        raise BadValue(f"{attribute} cannot be {value}. Use -1 to 1; 0 is as the style has it.")
    level = {attribute: round(float(value), 3)}
    if role is not None:
        _refuse_locked((role,), standing.locked)
        if role not in standing.playing:
            raise BadValue(
                f"There is no {role.value} to adjust. Make it with: resonantgen regenerate --track {role.value}"
            )
    reached = [r for r in standing.playing if r not in standing.locked and role in (None, r)]
    if not reached and standing.locked:
        raise TrackLocked(_all_locked(standing.locked))
    settings = standing.settings
    if role is None:
        settings = replace(settings, attributes=replace(settings.attributes, **level))
    before = {r: standing.playing[r].recipe.part for r in reached}
    parts = {r: replace(part, attributes=replace(part.attributes, **level)) for r, part in before.items()}
    if parts == before:
        return Job(Intent(""), settings, {}, {}, standing.playing)
    seeds = {r: standing.playing[r].seed for r in reached}
    staying = {r: take for r, take in standing.playing.items() if r not in reached}
    return Job(Intent(""), settings, parts, seeds, staying)


def _reached(
    standing: Standing, intent: Intent, role: Role | None, removed: Sequence[Role], generators: Generators
) -> list[Role]:
    """The tracks that an edit changes, in order."""
    if role is not None:
        if intent.roles and role not in intent.roles:
            raise PromptError(f"The words are about {' and '.join(intent.roles)}, the option is about {role.value}.")
        named: tuple[Role, ...] = (role,)
    else:
        named = _named(intent)
        if named or _only_removes(intent) or _demands(intent) == Intent(""):
            named = (*named, *generators)
    _refuse_locked(named, standing.locked)
    if named:
        return [r for r in Role if r in named and r not in removed]
    if _only_removes(intent):
        if not removed:
            raise PromptError(f"There is no {' and no '.join(sorted(intent.removed_roles))} to leave out.")
        return []
    reached = [r for r in standing.playing if r not in standing.locked and r not in removed]
    if not reached and standing.locked:
        raise TrackLocked(_all_locked(standing.locked))
    if _only_pitch(intent) and reached != [Role.DRUMS]:
        reached = [r for r in reached if r is not Role.DRUMS]
    reached = [r for r in Role if r in reached or r in generators]
    if not reached:
        raise ProjectError('There is no track to regenerate. Ask for one: resonantgen regenerate "" --track drums')
    return reached


def _named(intent: Intent) -> tuple[Role, ...]:
    """The tracks that the words are about, but for those that they only want to be gone."""
    return tuple(role for role in intent.roles if role not in intent.removed_roles)


def _demands(intent: Intent) -> Intent:
    """What the words ask to change, without the names of tracks and what was not understood."""
    by_role = {
        r: words for r, words in intent.by_role.items() if words != RoleIntent() and r not in intent.removed_roles
    }
    return replace(
        intent,
        text="",
        roles=(),
        removed_roles=frozenset(),
        by_role=by_role,
        not_understood=(),
        guessed=frozenset(),
    )


def _only_removes(intent: Intent) -> bool:
    return bool(intent.removed_roles) and _demands(intent) == Intent("")


def _only_pitch(intent: Intent) -> bool:
    """Whether the words are about key, mode or transposition alone, which drums do not have."""
    demands = _demands(intent)
    rest = replace(demands, key=None, minor=None, mode=None, transpose_semitones=0)
    return demands != rest and rest == Intent("")


def _all_read_words(standing: Standing, intent: Intent, role: Role | None, generators: Generators) -> bool:
    """Whether the tracks that an edit is about all have generators that are told the words."""
    playing = {r: take.recipe.part.generator for r, take in standing.playing.items()}
    about = {*_named(intent), *generators, *([role] if role else [])} or playing.keys() - standing.locked
    return bool(about) and all({**playing, **generators}.get(r, PATTERN) != PATTERN for r in about)


def _refuse_riddles(intent: Intent) -> None:
    """Words of which none was understood are no request for other music. Raises PromptError."""
    if intent.not_understood and not intent.removed_roles and _demands(intent) == Intent(""):
        words = ", ".join(intent.not_understood)
        raise PromptError(
            f"Not understood: {words}. Nothing was changed. Say it in other words, such as: busier, darker, more "
            "aggressive; or ask for another idea with: resonantgen regenerate"
        )


def _refuse_locked(roles: Sequence[Role] | frozenset[Role], locked: frozenset[Role]) -> None:
    for role in Role:
        if role in roles and role in locked:
            raise TrackLocked(
                f"{role.value} is locked, so it was left alone. Unlock it with: resonantgen unlock {role.value}"
            )


def _refuse_unmade(generators: Generators, made: Sequence[Role]) -> None:
    """Raises BadValue for a generator of a track that will not be made."""
    for role, name in generators.items():
        if role not in made:
            raise BadValue(
                f"{role.value} cannot be played by {name}, since it is not among the tracks to make: "
                f"{', '.join(made) or 'none'}. Name it there, or leave out its generator."
            )


def _all_locked(locked: frozenset[Role]) -> str:
    first = next(role for role in Role if role in locked)
    return f"Every track is locked, so nothing was changed. Unlock one with: resonantgen unlock {first.value}"
