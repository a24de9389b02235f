// Where the host is, from what DPF 1.6 makes of what the host says: each format's loses something, which is found again
// here. Threads: one object belongs to the audio thread; nothing allocates, locks or blocks.
#pragma once
#include <cmath>
#include <cstdlib>

#include "Player.hpp"

namespace resonantgen {

enum class Format { kVst3, kClap, kLv2 };

class Timeline {
public:
    explicit Timeline(Format format) : format_(format) {}

    // `Position` is DPF's TimePosition; `frames` the block that begins there.
    template <class Position> HostTime read(const Position& p, double sample_rate, uint32_t frames) {
        HostTime t;
        t.frame = static_cast<int64_t>(p.frame);  // a count-in's frames are below 0
        t.sample_rate = sample_rate;
        t.playing = p.playing;
        const auto& b = p.bbt;
        t.told = b.valid && b.beatsPerMinute >= 1 && b.beatsPerMinute <= 10000 && b.beatsPerBar >= 1 &&
                 b.beatsPerBar <= 256 && b.beatType >= 1 && b.beatType <= 256 && b.ticksPerBeat > 0;
        if (t.told) {
            t.tempo = b.beatsPerMinute;
            t.numerator = static_cast<uint16_t>(b.beatsPerBar + 0.5f);
            t.denominator = static_cast<uint16_t>(b.beatType + 0.5f);
            const double beat = b.beat - 1 + b.tick / b.ticksPerBeat;
            if (format_ == Format::kVst3) vst3(t, b, beat);
            else if (format_ == Format::kClap) clap(t, b, beat);
            else lv2(t, b, beat);
        }
        last_ = t;
        last_frames_ = frames;
        last_playing_ = p.playing;
        return t;
    }

private:
    bool same_tempo(const HostTime& t) const {
        return last_.told && last_.tempo == t.tempo && last_.sample_rate == t.sample_rate;
    }

    // DPF mirrors positions before 0.
    template <class Bbt> static void vst3(HostTime& t, const Bbt& b, double beat) {
        const double bar = 4.0 * t.numerator / t.denominator;
        if (t.frame >= 0 && b.bar > 0) t.quarters = (b.bar - 1) * bar + beat * 4 / t.denominator;
        else t.quarters = -(b.bar * bar + (t.numerator - beat - 1 / b.ticksPerBeat) * 4 / t.denominator);
    }

    // DPF gives the steady time instead of the song's: frames are counted on, and after a jump follow the quarter notes.
    // It counts "beats" of a quarter note in each meter, and gives 0 for all that lies before 0 (played as a stop).
    template <class Bbt> void clap(HostTime& t, const Bbt& b, double beat) {
        t.quarters = (b.bar - 1) * static_cast<double>(t.numerator) + beat;
        if (t.playing && last_playing_ && t.quarters == 0 && last_.quarters == 0) t.playing = false;
        const double played = last_.playing ? last_frames_ / last_.frames_per_quarter() : 0;
        if (last_.told && std::abs(t.quarters - last_.quarters - played) * t.frames_per_quarter() < 2)
            t.frame = last_.frame + (last_.playing ? last_frames_ : 0);
        else if (same_tempo(t)) t.frame = last_.frame + std::llround((t.quarters - last_.quarters) * t.frames_per_quarter());
        else t.frame = std::llround(t.quarters * t.frames_per_quarter());
    }

    // A tempo as float, of quarter notes in most hosts, of the meter's beats by the specification: the one that fits the
    // frames. Positions come in whole ticks, and only when something changes; DPF counts on between, with bars that are
    // off by one at times. So: where it fits within a tick, the time goes on from the last block, or from the song's start.
    // Some hosts tell no position at all (JUCE's): it stays 0 then, and the frames are what counts.
    template <class Bbt> void lv2(HostTime& t, const Bbt& b, double beat) {
        constexpr double kTick = 1.0 / 960;
        const double bar = 4.0 * t.numerator / t.denominator;
        t.tempo = std::round(t.tempo * 1000) / 1000;
        t.quarters = (b.bar - 1) * bar + beat * 4 / t.denominator;
        const auto from_start = [&](double tempo) { return static_cast<double>(t.frame) * tempo / (60 * t.sample_rate); };
        told_position_ = told_position_ || t.quarters != 0;
        if (!told_position_) t.quarters = from_start(t.tempo);
        const double by_beats = t.tempo * 4 / t.denominator;
        const bool fits = std::abs(from_start(t.tempo) - t.quarters) < kTick;
        if (!fits && std::abs(from_start(by_beats) - t.quarters) < kTick) t.tempo = by_beats;
        const bool same = same_tempo(t) && t.numerator == last_.numerator && t.denominator == last_.denominator;
        const double on = last_.quarters + static_cast<double>(t.frame - last_.frame) / t.frames_per_quarter();
        const bool contiguous = t.frame == last_.frame + (last_.playing ? last_frames_ : 0);
        const double off = t.quarters - on, bars_off = contiguous ? std::round(off / bar) * bar : 0;
        if (same && std::abs(off - bars_off) < kTick) t.quarters = on;
        else if (std::abs(from_start(t.tempo) - t.quarters) < kTick) t.quarters = from_start(t.tempo);
    }

    const Format format_;
    HostTime last_;
    uint32_t last_frames_ = 0;
    bool last_playing_ = false, told_position_ = false;
};

}  // namespace resonantgen
