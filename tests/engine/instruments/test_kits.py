"""The kits as instruments a producer would know: levels, lengths, pitches, and that no two sound alike."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.instruments.test_drums import KITS, RATE, beat, crest_db, decay_ms, every_kit, rendered, spectrum, stroke
from resonantgen.errors import BadValue, PresetError
from resonantgen.instruments.base import Samples
from resonantgen.instruments.catalog import catalog, preset_for_word
from resonantgen.instruments.drum_pieces import Kit
from resonantgen.instruments.kit import load_kit
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.presets import load_preset, presets_folder

WINDOW = RATE // 100


def loudest_db(samples: Samples) -> float:
    """RMS of the loudest 10 ms."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples.mean(axis=1)))])
    return float(10 * np.log10((energy[WINDOW:] - energy[:-WINDOW]).max() / WINDOW))


def level_db(kit_id: str, piece: DrumPiece) -> float:
    return float(np.mean([loudest_db(stroke(kit_id, piece, seed=seed)) for seed in range(4)]))


def pitch_hz(kit_id: str, piece: DrumPiece, start_s: float, end_s: float) -> float:
    """The strongest frequency between two times of a stroke."""
    samples = stroke(kit_id, piece, 0.9).mean(axis=1)[int(start_s * RATE) : int(end_s * RATE)]
    hz, power = spectrum(np.pad(samples * np.hanning(len(samples)), (0, RATE)))
    return float(hz[power.argmax()])


def bands_db(samples: Samples) -> NDArray[np.float64]:
    """Energy in third-octave bands relative to the loudest one, no lower than -40 dB."""
    hz, power = spectrum(np.pad(samples.mean(axis=1), (0, RATE)))
    edges = 40 * 2 ** (np.arange(28) / 3)
    energy = np.array([power[(hz >= low) & (hz < high)].sum() for low, high in pairwise(edges)])
    return np.maximum(10 * np.log10(energy / energy.max() + 1e-12), -40.0)


def test_there_are_the_twelve_kits() -> None:
    assert set(KITS) == {
        "808", "909", "industrial", "trap", "breaks", "dusty", "rock", "jazz", "funk", "linn", "latin", "soft"
    }  # fmt: skip


@every_kit
def test_kick_and_snare_lead_and_hats_sit_below(kit_id: str) -> None:
    kick, snare = level_db(kit_id, DrumPiece.KICK), level_db(kit_id, DrumPiece.SNARE)
    assert -6 < snare - kick < 1
    for hat in (DrumPiece.CLOSED_HAT, DrumPiece.OPEN_HAT):
        assert 8 < kick - level_db(kit_id, hat) < 14, hat
    for piece in DrumPiece:
        assert -16 < level_db(kit_id, piece) - kick < 1, piece


@every_kit
def test_a_standard_beat_is_as_loud_in_every_kit(kit_id: str) -> None:
    samples = rendered(kit_id, beat())
    assert 20 * np.log10(np.sqrt(np.square(samples).mean())) == pytest.approx(-18, abs=1.0)
    assert 10 < crest_db(samples) < 22
    assert abs(samples.mean()) < 1e-3


@every_kit
def test_pieces_last_as_they_should(kit_id: str) -> None:
    length = {piece: decay_ms(stroke(kit_id, piece)) for piece in DrumPiece}
    assert length[DrumPiece.OPEN_HAT] > 2.5 * length[DrumPiece.CLOSED_HAT]
    assert length[DrumPiece.CRASH] > 1.5 * length[DrumPiece.OPEN_HAT]
    assert length[DrumPiece.CRASH] > length[DrumPiece.RIDE] > length[DrumPiece.CLOSED_HAT]
    assert length[DrumPiece.CLOSED_HAT] < 120
    assert length[DrumPiece.RIM] < 80
    assert length[DrumPiece.LOW_TOM] > length[DrumPiece.HIGH_TOM]


@every_kit
def test_drums_are_tuned_in_order(kit_id: str) -> None:
    kick = pitch_hz(kit_id, DrumPiece.KICK, 0.05, 0.2)
    low, mid, high = (
        pitch_hz(kit_id, tom, 0.05, 0.25) for tom in (DrumPiece.LOW_TOM, DrumPiece.MID_TOM, DrumPiece.HIGH_TOM)
    )
    assert 42 < kick < 90
    assert kick < low < mid < high
    assert 1.3 < high / low < 2.5
    low_conga, high_conga = (pitch_hz(kit_id, drum, 0.02, 0.12) for drum in (DrumPiece.LOW_CONGA, DrumPiece.HIGH_CONGA))
    assert 1.3 < high_conga / low_conga < 2.3


@every_kit
def test_the_kick_falls_in_pitch(kit_id: str) -> None:
    def crossings_hz(start_s: float, end_s: float) -> float:
        samples = stroke(kit_id, DrumPiece.KICK, 0.9).mean(axis=1)[int(start_s * RATE) : int(end_s * RATE)]
        smooth = np.convolve(samples, np.hanning(48) / 24, mode="same")  # without the click
        rising = np.flatnonzero((smooth[:-1] < 0) & (smooth[1:] >= 0))
        return float(RATE * (len(rising) - 1) / (rising[-1] - rising[0]))

    assert crossings_hz(0.0, 0.07) > 1.01 * crossings_hz(0.07, 0.19)


def test_the_machines_are_themselves() -> None:
    """What is known of the real ones, from their circuits and recordings."""
    assert pitch_hz("808", DrumPiece.KICK, 0.2, 0.5) == pytest.approx(50, abs=3)
    assert decay_ms(stroke("808", DrumPiece.KICK)) > 1.5 * decay_ms(stroke("909", DrumPiece.KICK))
    hz, power = spectrum(np.pad(stroke("808", DrumPiece.COWBELL).mean(axis=1), (0, RATE)))
    strongest = [
        float(hz[low:high][power[low:high].argmax()])
        for low, high in ((np.searchsorted(hz, a), np.searchsorted(hz, b)) for a, b in ((450, 650), (700, 900)))
    ]
    assert strongest == pytest.approx([540, 800], rel=0.01)
    gated, natural = stroke("linn", DrumPiece.SNARE), stroke("rock", DrumPiece.SNARE)

    def middle_to_start(samples: Samples) -> float:
        """Energy from 90 to 130 ms against that of the first 40 ms, in dB."""
        return float(10 * np.log10(np.square(samples[4320:6240]).sum() / np.square(samples[:1920]).sum()))

    assert middle_to_start(gated) > middle_to_start(natural) + 6, "a gated snare does not decay until its gate closes"


def test_no_two_kits_sound_alike() -> None:
    heard = (DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLOSED_HAT, DrumPiece.OPEN_HAT, DrumPiece.LOW_TOM)
    portraits = {kit_id: [bands_db(stroke(kit_id, piece)) for piece in heard] for kit_id in KITS}
    lengths = {kit_id: [decay_ms(stroke(kit_id, piece)) for piece in heard] for kit_id in KITS}
    for one, other in combinations(KITS, 2):
        colour = np.mean([np.abs(a - b).mean() for a, b in zip(portraits[one], portraits[other], strict=True)])
        length = np.mean(np.abs(np.log2(np.array(lengths[one]) / np.array(lengths[other]))))
        # Two strokes of one kit differ by about 1.5 dB a band and by hardly anything in length.
        assert colour > 2.5 or length > 0.4, (one, other, colour, length)


def test_each_word_asks_for_one_kit() -> None:
    words = [(word, kit_id) for kit_id, entry in catalog(Role.DRUMS).items() for word in entry.words]
    assert all(word == word.lower().strip() for word, _ in words)
    for word, kit_id in words:
        assert preset_for_word(Role.DRUMS, word) == kit_id


def test_an_unknown_kit_is_refused_with_the_list() -> None:
    with pytest.raises(BadValue, match=r"no drum kit.*808"):
        load_kit("tr-8000")


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("[rim]", "[rimm]", "unknown field `rimm`"),
        ("phase = ", "phases = ", "unknown field `phases`"),
        ("drive = 0.", "drive = 7.", "`float` <= 1.0"),
        ("decay_ms = ", "decay_ms = -", "`float` >= 1.0"),
        ("hz = 49.5", 'hz = "low"', "Expected `float`"),
    ],
)
def test_a_kit_with_a_mistake_is_refused_with_file_and_line(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    text = (presets_folder() / "instruments" / "drums" / "808.toml").read_text(encoding="utf-8")
    line = text[: text.index(before)].count("\n") + 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(PresetError) as caught:
        load_preset(path, Kit)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}:")


def test_a_kit_without_a_piece_is_refused(tmp_path: Path) -> None:
    text = (presets_folder() / "instruments" / "drums" / "808.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text[: text.index("[shaker]")], encoding="utf-8")
    with pytest.raises(PresetError, match="missing required field `shaker`"):
        load_preset(path, Kit)
