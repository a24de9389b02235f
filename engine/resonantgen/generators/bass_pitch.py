"""Which pitch a tone of a bass pattern is: over a chord, in a key, within the instrument's register."""

from __future__ import annotations

from dataclasses import dataclass

from resonantgen.generators.dice import Dice
from resonantgen.music.theory import QUALITIES, Chord, Key

LOWEST, HIGHEST = 28, 52  # E1 to E3
DARKEST, BRIGHTEST = 24, 56  # where only darkness and brightness go
_STEPS = {"2": 1, "4": 3, "6": 5}


@dataclass(frozen=True, slots=True)
class Register:
    """The pitches that a take uses."""

    key: Key
    diatonic: bool
    low: int  # the lowest root
    high: int = HIGHEST  # the highest pitch

    def root(self, chord: Chord) -> int:
        """The root in the octave from `low`."""
        return self.low + (chord.root - self.low) % 12

    def scale(self, chord: Chord) -> list[int]:
        """All pitches of the register that fit over a chord: the key's, but the chord's own where they differ."""
        altered = [pc for pc in chord.pitch_classes if pc not in self.key]
        clashing = {(pc + side) % 12 for pc in altered for side in (-1, 1)} - set(chord.pitch_classes)
        return [
            pitch
            for pitch in range(LOWEST, self.high + 1)
            if pitch in chord or (pitch in self.key and pitch % 12 not in clashing)
        ]

    def above(self, chord: Chord, pitch_class: int) -> int:
        """A tone of the chord above its root, or below where that is too high."""
        root = self.root(chord)
        pitch = root + (pitch_class - root) % 12
        return pitch if pitch <= self.high else pitch - 12

    def tone(self, tone: str, chord: Chord) -> int:
        """The pitch of any tone but A and W, which depend on what comes before and after."""
        root = self.root(chord)
        if tone == "8":
            return root + 12 if root + 12 <= self.high else root
        if tone == "L":
            below = root - (root - chord.fifth) % 12
            return below if below >= LOWEST else below + 12
        if tone == "5":
            return self.above(chord, chord.fifth)
        if tone == "3":
            return self.above(chord, chord.third)
        if tone == "7":
            sevenths = [step for step in QUALITIES[chord.quality] if step in (9, 10, 11)]
            return self.above(chord, (root + sevenths[0]) % 12) if sevenths else self._step(chord, -1)
        if tone in _STEPS:
            return self._step(chord, _STEPS[tone])
        return root

    def _step(self, chord: Chord, steps: int) -> int:
        """So many steps of the scale above (or, from an octave up, below) the root."""
        scale, root = self.scale(chord), self.root(chord)
        if steps < 0:
            steps += sum(root <= pitch < root + 12 for pitch in scale)
        pitches = [pitch for pitch in scale if pitch >= root]
        return pitches[steps] if steps < len(pitches) else root

    def approach(self, chord: Chord, following: Chord, previous: int, dice: Dice) -> int:
        """A pitch that leads to the next chord's root: a step from above or below it, or its fifth when it stays."""
        target = self.root(following)
        scale = self.scale(chord)
        if following.root == chord.root and dice.roll("stay") < 0.4:
            return self.tone("5" if dice.roll("side") < 0.5 else "L", chord)
        near = [p for p in scale if p != target and abs(p - target) <= 2]
        if not self.diatonic and dice.roll("chromatic") < 0.6:
            near = [p for p in (target - 1, target + 1) if LOWEST <= p <= self.high] or near
        if not near:
            return self.tone("5", chord)
        return min(near, key=lambda p: abs(p - previous) + 2.5 * dice.roll("near", p))

    def walk(self, chord: Chord, following: Chord, previous: int, steps_left: int, strong: bool, dice: Dice) -> int:
        """The next pitch of a walk that should reach the next chord's root in `steps_left` more steps."""
        target = self.root(following)
        wanted = previous + (target - previous) / (steps_left + 1)
        if abs(target - previous) < 3 and steps_left >= 1:  # too near already: take the long way
            wanted = previous + (4 if previous <= self.low + 7 else -4)

        def cost(pitch: int) -> float:
            leap = max(0, abs(pitch - previous) - 4)
            return (
                abs(pitch - wanted)
                + 2.0 * leap
                + (2.5 if strong and pitch not in chord else 0.0)
                + 2.5 * dice.roll(pitch)
            )

        return min((p for p in self.scale(chord) if p != previous and abs(p - previous) <= 8), key=cost)

    def fifth_below(self, pitch: int, chord: Chord) -> int:
        """The chord's fifth under its root, if that is the pitch and the register allows it."""
        below = pitch - (pitch - chord.fifth) % 12
        return below if pitch % 12 == chord.root and below >= DARKEST else pitch
