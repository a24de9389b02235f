"""What was heard in a recording and what becomes of it, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict

from resonantgen.music.notes import Role
from resonantgen.music.time import TICKS_PER_QUARTER, bars_text
from resonantgen.session.import_plan import ImportPlan
from resonantgen.session.source import Imported, bpm_text, clock_text


def report(plan: ImportPlan) -> list[tuple[str, str, str]]:
    """What was heard and what becomes of it, for people: a label, what there is to say, and a note.

    A conflict is not among it: that is an error, but where nothing was to be done.
    """
    heard, source, settings = plan.imported, plan.source, plan.order.job.settings
    said = dict.fromkeys(heard.corrected, "as you said")
    channels = {1: "mono", 2: "stereo"}.get(heard.channels, f"{heard.channels} channels")
    lines = [
        (
            "recording",
            f"{source.name} · {heard.format} · {heard.sample_rate} Hz · {channels} · {clock_text(heard.seconds)}",
            "",
        ),
        *(("", remark, "") for remark in heard.remarks),
    ]
    measured = (
        "no beat heard"
        if heard.heard_tempo_bpm is None
        else f"heard {heard.heard_tempo_bpm:.2f}, clarity {heard.tempo_clarity:.2f}"
    )
    lines.append(
        ("tempo", bpm_text(source.tempo_bpm), said.get("tempo", measured) + _correct("tempo", heard, "--tempo BPM"))
    )
    begins = f"{source.start_seconds:.3f} s"
    found = "its start" if heard.heard_tempo_bpm is None else "heard"
    lines.append(("bar line", begins, said.get("offset", found) + _correct("offset", heard, "--offset SECONDS")))
    if plan.role is not Role.DRUMS or said.keys() & {"key", "chords"}:
        key = (
            "no tones heard" if heard.heard_key is None else f"heard {heard.heard_key}, clarity {heard.key_clarity:.2f}"
        )
        lines.append(("key", str(plan.key), said.get("key", key) + _correct("key", heard, "--key KEY")))
        names = [span.chord.symbol(settings.key) for span in plan.chords.spans]
        shown = " ".join(names[:16]) + (" …" if len(names) > 16 else "")
        lines.append(("chords", shown, said.get("chords", "heard") + _correct("chords", heard, '--chords "Am F"')))
    register = "" if heard.low is None else f" · MIDI keys {heard.low} to {heard.high}"
    lines.append(("sound", f"{heard.onsets} onsets{register} · {heard.loudness_lufs:.1f} LUFS", ""))
    until = source.start_seconds + source.bars * settings.meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(
        source.tempo_bpm
    )
    used = f"{bars_text(source.bars)}, {clock_text(source.start_seconds)} to {clock_text(until)}"
    if source.bars < settings.bars:
        used += f", repeated to {bars_text(settings.bars)}"
    if source.tempo_bpm != settings.tempo_bpm and plan.conflict is None:
        used += f", stretched to {bpm_text(settings.tempo_bpm)}"
    lines.append(("used", used, "--bars N" if "bars" not in heard.corrected else ""))
    return [*lines, *(("note", text, "") for text in plan.advice)]


def _correct(name: str, heard: Imported, how: str) -> str:
    return "" if name in heard.corrected else f"; correct it with {how}"


def plan_document(plan: ImportPlan) -> dict[str, object]:
    """The same as `report`, as plain values."""
    settings = plan.order.job.settings
    to_come = ("stretch", "gain_db", "tokens")
    return {
        **{name: value for name, value in asdict(plan.imported).items() if name not in to_come},
        "name": plan.source.name,
        "start_seconds": plan.source.start_seconds,
        "tempo_bpm": float(plan.source.tempo_bpm),
        "bars_taken": plan.source.bars,
        "project": {
            "tempo_bpm": float(settings.tempo_bpm),
            "meter": str(settings.meter),
            "key": str(settings.key),
            "bars": settings.bars,
        },
        "chords": [[span.chord.symbol(settings.key), span.start_ticks] for span in plan.chords.spans],
        "key": str(plan.key),
        "advice": list(plan.advice),
        "conflict": None if plan.conflict is None else str(plan.conflict),
    }
