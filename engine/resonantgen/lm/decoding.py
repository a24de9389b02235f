"""Writing tokens: several requests in one batch at different positions, or one as a stream.

A request takes one row of the model's state, or two with classifier-free guidance: conditioned and not, side by side.
It may join or leave at any step. Its prompt is read alone when it joins, its random numbers are its own, and on the CPU
no kernel looks at more than a row, so that what else is in the batch makes no difference to its tokens, to the bit.

A batch belongs to one thread at a time. Several batches may use one model, from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from resonantgen.errors import BadValue
from resonantgen.lm.cache import State
from resonantgen.lm.conditioning import NULL, Conditioning
from resonantgen.lm.delay import aligned, delayed, start_column
from resonantgen.lm.sampling import Sampling, guided, possible, sample, uniforms
from resonantgen.lm.transformer import Transformer

SERIAL_NUMBERS = 1 << 15  # up to so many, torch starts no threads, which would stand in the way of the kernels' own
SAMPLED = -1  # in a plan: a token that is yet to be drawn


@dataclass(frozen=True, slots=True, eq=False)
class LMRequest:
    """What is to be written. The same request gives the same tokens on the same machine."""

    frames: int  # to make, behind those of the prompt; a frame is K tokens, one of each codebook
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    guidance: float = 1.0  # how far to go from the null condition towards and past the condition; 1: no guidance
    conditioning: Conditioning = NULL
    null: Conditioning = NULL  # what guidance leads away from
    prompt: Tensor | None = None  # [K, T]: codes to go on from

    def __post_init__(self) -> None:
        """Refuse what cannot be written."""
        if self.frames < 1:
            raise BadValue(f"At least one frame is to be written, not {self.frames}.")

    @property
    def rows(self) -> int:
        """Of the state."""
        return 1 if self.guidance == 1.0 else 2

    @property
    def prompt_frames(self) -> int:
        """T."""
        return 0 if self.prompt is None else self.prompt.shape[-1]

    @property
    def conditions(self) -> tuple[Conditioning, ...]:
        """Of each of its rows."""
        return (self.conditioning, self.null)[: self.rows]

    @property
    def prefix_length(self) -> int:
        """Room that its conditions need."""
        return max(condition.prefix_length for condition in self.conditions)

    @property
    def cross_length(self) -> int:
        """Room that its conditions need; at least 1."""
        return max(1, *(condition.cross_length for condition in self.conditions))


def columns_of(request: LMRequest, delays: Sequence[int]) -> int:
    """Columns that its frames and its prompt take: the last codebook is done max(delays) columns after the first."""
    return request.prompt_frames + request.frames + max(delays)


def plan_of(request: LMRequest, delays: Sequence[int], special: Sequence[int]) -> Tensor:
    """Columns [N, K] with what is known before they are written: the prompt's tokens and the special tokens before a
    codebook begins and after it has ended. The others are SAMPLED.
    """
    frames = request.prompt_frames + request.frames
    codes = torch.full((len(delays), frames), SAMPLED)
    if request.prompt is not None:
        codes[:, : request.prompt_frames] = request.prompt
    return delayed(codes, delays, special).T.contiguous()


@dataclass(slots=True, eq=False)
class Writing:
    """What a step reads and writes for each place of a batch; all on the device."""

    column: Tensor  # [rows, K]: read next
    plan: Tensor  # [places, columns, K]: see `plan_of`; what is drawn replaces what was to be
    uniform: Tensor  # [places, columns, K]: see `sampling.uniforms`
    written: Tensor  # [places]: columns of the plan that are complete


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Places that are drawn alike, and where their logits are."""

    sampling: Sampling
    places: Tensor  # [R]
    conditional: Tensor  # [R]: rows; those of `unconditional` are the same without guidance
    unconditional: Tensor
    guidance: Tensor  # [R, 1, 1]


def write_column(model: Transformer, state: State, writing: Writing, groups: Sequence[Group], valid: Tensor) -> None:
    """Read a column for each row of the state, draw the next of each place. In static shapes, on the device alone: it
    can be compiled and captured. Places that are in no group stand still.
    """
    rows = state.rows
    logits = model.step(writing.column[:rows], state)
    for group in groups:
        mixed = guided(logits[group.conditional], logits[group.unconditional], group.guidance)
        at = writing.written[group.places].clamp(max=writing.plan.shape[1] - 1)
        drawn = sample(mixed, group.sampling, writing.uniform[group.places, at], valid)
        planned = writing.plan[group.places, at]
        tokens = torch.where(planned == SAMPLED, drawn, planned)
        writing.plan[group.places, at] = tokens
        writing.column[group.conditional] = tokens
        writing.column[group.unconditional] = tokens
        writing.written[group.places] += 1


WriteColumn = Callable[[Transformer, State, Writing, Sequence[Group], Tensor], None]


@dataclass(slots=True, eq=False)
class _Seat:
    """A request in a batch, as the host knows it."""

    request: LMRequest
    place: int
    rows: tuple[int, ...]
    columns: int  # in all
    written: int  # columns that are complete
    given: int = 0  # frames that `advance` has returned, the prompt's among them


class Batch:
    """Requests that are written together. A handle (an int) stands for a request from `add` until it is done."""

    def __init__(
        self,
        model: Transformer,
        requests: int,
        columns: int,
        *,
        guided: bool = True,
        prefix: int = 0,
        cross: int = 0,
        write: WriteColumn = write_column,
    ) -> None:
        """Room for so many requests at once, each of at most so many columns (see `columns_of`) and so many vectors of
        prefix and cross conditioning. `guided`: whether any has guidance, which takes twice the memory. `write`: see
        `device.step_for`.
        """
        self.model, self._write = model, write
        self._rows_each = 2 if guided else 1
        rows = requests * self._rows_each
        config = model.config
        self._delays, self._special = config.delays, config.special
        self.device = model.norm.weight.device
        self._state = model.start(rows, columns, prefix, cross)
        self._valid = possible(config.vocabularies, self.device)
        here = self.device.type == "cpu"
        self._drawn_at_once = max(1, SERIAL_NUMBERS // self._valid.numel()) if here else requests
        shape = (requests, columns, config.codebooks)
        with torch.inference_mode(False):  # what is made here outlives the mode that it is made in
            self._writing = Writing(
                column=torch.zeros((rows, config.codebooks), dtype=torch.int64, device=self.device),
                plan=torch.zeros(shape, dtype=torch.int64, device=self.device),
                uniform=torch.zeros(shape, device=self.device),
                written=torch.zeros(requests, dtype=torch.int64, device=self.device),
            )
        self._seats: dict[int, _Seat] = {}
        self._next = 0
        self._places: list[int | None] = [None] * requests
        self._arrange()

    @property
    def free(self) -> int:
        """Requests that there is room for."""
        return self._places.count(None)

    @torch.no_grad()
    def add(self, request: LMRequest) -> int:
        """Take a request in: read its conditioning and its prompt. -> its handle. Raises BadValue."""
        columns = columns_of(request, self._delays)
        assert request.rows <= self._rows_each, "the batch was not made for guidance"
        if columns > self._writing.plan.shape[1]:
            raise BadValue(f"The batch has room for {self._writing.plan.shape[1]} columns; the request has {columns}.")
        self._check_prompt(request.prompt)
        place = self._places.index(None)
        rows = tuple(self._rows_each * place + row for row in range(request.rows))
        plan = plan_of(request, self._delays, self._special)
        known = (
            request.prompt_frames
        )  # columns that are read at once; the one before the first unknown is left to a step
        read = torch.cat([start_column(self._special), plan[:known].T], dim=1).to(self.device)
        own = _rows(self._state, rows[0], rows[-1] + 1, request.cross_length)
        for row, conditioning in enumerate(request.conditions):
            self.model.condition(own, row, conditioning)
        if known:
            self.model(read[None, :, :-1].expand(len(rows), -1, -1), own, range(len(rows)))
        for row, count in zip(rows, own.counts, strict=True):
            self._state.counts[row] = count
        writing = self._writing
        writing.column[list(rows)] = read[:, -1]
        writing.plan[place, :columns] = plan.to(self.device)
        writing.uniform[place, :columns] = uniforms(request.seed, columns, plan.shape[1]).to(self.device)
        writing.written[place] = known
        handle, self._next = self._next, self._next + 1
        self._seats[handle] = _Seat(request, place, rows, columns, known, given=known)
        self._places[place] = handle
        self._arrange()
        return handle

    def _check_prompt(self, prompt: Tensor | None) -> None:
        if prompt is None:
            return
        sizes = torch.tensor(self._special).unsqueeze(1)
        if prompt.ndim != 2 or len(prompt) != len(sizes) or bool(((prompt.cpu() < 0) | (prompt.cpu() >= sizes)).any()):
            raise BadValue("The codes to go on from are not of this model: another number of codebooks, or tokens.")

    def remove(self, handle: int) -> None:
        """Let a request go before it is done."""
        self._places[self._seats.pop(handle).place] = None
        self._arrange()

    def _arrange(self) -> None:
        """Rows up to the last in use are stepped. Requests that are drawn alike are drawn together."""
        seats = list(self._seats.values())
        rows = max((seat.rows[-1] + 1 for seat in seats), default=0)
        # Compiled steps have one shape: they step all rows
        self._stepped = _rows(self._state, 0, rows) if self._write is write_column else self._state
        kinds: dict[Sampling, list[_Seat]] = {}
        for seat in seats:
            kinds.setdefault(seat.request.sampling, []).append(seat)
        alike = [some for kind in kinds.values() for some in _split(kind, self._drawn_at_once)]

        def numbers(values: Sequence[float], dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=self.device)

        self._groups = [
            Group(
                sampling=some[0].request.sampling,
                places=numbers([seat.place for seat in some]),
                conditional=numbers([seat.rows[0] for seat in some]),
                unconditional=numbers([seat.rows[-1] for seat in some]),
                guidance=numbers([seat.request.guidance for seat in some], torch.float32)[:, None, None],
            )
            for some in alike
        ]

    @torch.no_grad()
    def advance(self, steps: int = 1) -> dict[int, Tensor]:
        """Write so many columns of each request, or up to its end: the frames [K, n] that each has completed since.

        Requests that have come to their end are let go. Nothing waits for the device; only who looks at codes does.
        """
        done: dict[int, Tensor] = {}
        for _ in range(steps):
            if not self._seats:
                break
            self._write(self.model, self._stepped, self._writing, self._groups, self._valid)
            self._state.count(1, range(self._stepped.rows))
            for seat in self._seats.values():
                seat.written += 1
            for handle in [handle for handle, seat in self._seats.items() if seat.written == seat.columns]:
                done[handle] = self._completed(self._seats[handle])
                self.remove(handle)
        return {handle: self._completed(seat) for handle, seat in self._seats.items()} | done

    def _completed(self, seat: _Seat) -> Tensor:
        """Frames that have become complete and were not given yet: [K, n]."""
        columns = self._writing.plan[seat.place, seat.given : seat.written].T
        frames = aligned(columns, self._delays).clone()
        seat.given += frames.shape[1]
        return frames


def _split(seats: list[_Seat], most: int) -> Iterator[list[_Seat]]:
    return (seats[first : first + most] for first in range(0, len(seats), most))


def _rows(state: State, first: int, last: int, cross: int | None = None) -> State:
    """The same state, seen as one of these rows alone, with room for so many vectors of cross conditioning."""
    return replace(
        state,
        memory=[memory[:, first:last] for memory in state.memory],
        cross_memory=[memory[:, first:last, :, :cross] for memory in state.cross_memory],
        positions=state.positions[first:last],
        prefixes=state.prefixes[first:last],
        cross_lengths=state.cross_lengths[first:last],
        counts=state.counts[first:last],
    )


def stream(
    model: Transformer, request: LMRequest, frames: int = 1, write: WriteColumn = write_column
) -> Iterator[Tensor]:
    """Write a request: `frames` frames [K, frames] at a time as they are made, the last time what is left."""
    batch = Batch(
        model,
        1,
        columns_of(request, model.config.delays),
        guided=request.rows == 2,
        prefix=request.prefix_length,
        cross=request.cross_length,
        write=write,
    )
    handle = batch.add(request)
    left, steps = request.frames, max(model.config.delays)
    while left:
        now = min(frames, left)
        yield batch.advance(steps + now)[handle]
        left, steps = left - now, 0


def write_all(model: Transformer, request: LMRequest, write: WriteColumn = write_column) -> Tensor:
    """All of a request's frames: [K, frames]."""
    return next(stream(model, request, request.frames, write))
