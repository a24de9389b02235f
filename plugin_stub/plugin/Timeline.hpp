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
        frames_ = frames;
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

    // What a 32-bit float stands for: thousandths of a bpm if it may, otherwise the fraction with the least denominator.
    static double plain_tempo(double told) {
        const auto near = [&](double tempo) { return std::abs(tempo - told) <= told / (1 << 24); };
        const double thousandths = std::round(told * 1000) / 1000;
        if (near(thousandths)) return thousandths;
        for (double parts = 3; parts < 1000; ++parts)
            if (const double tempo = std::round(told * parts) / parts; near(tempo)) return tempo;
        return told;
    }

    // A tempo as float, of quarter notes in most hosts, of the meter's beats by the specification. Places are whole ticks,
    // of a beat by the specification, of a quarter note in Ardour (in 7/8 a beat is over at its half): what fits the
    // frames is right. Some hosts tell only what changes; DPF counts on between, with bars that are off by one at times.
    // So: where it fits within a tick, the time goes on from the last block, or from the song's start; after a change of
    // tempo, from a beat in the last block. Some tell no place at all (JUCE's): it stays 0, and the frames count.
    template <class Bbt> void lv2(HostTime& t, const Bbt& b, double beat) {
        const double told = plain_tempo(t.tempo), unit = 4.0 / t.denominator, bar = t.numerator * unit;
        const double whole = std::floor(beat + 1e-6), bars = (b.bar - 1) * bar;
        const struct { double quarters, tempo; } ways[] = {
            {bars + beat * unit, told},
            {bars + whole * unit + (beat - whole), told},
            {bars + (whole - 1) * unit + (beat - whole + 1), told},  // half notes: in the second half of Ardour's
            {bars + beat * unit, told * unit}};
        const auto take = [&](int way) { t.quarters = ways[way].quarters, t.tempo = ways[way].tempo; };
        const auto from_start = [&] { return static_cast<double>(t.frame) / t.frames_per_quarter(); };
        const bool contiguous = t.frame == last_.frame + (last_.playing ? last_frames_ : 0);
        const auto on = [&] { return last_.quarters + static_cast<double>(t.frame - last_.frame) / last_.frames_per_quarter(); };
        const auto goes_on = [&] {
            const double off = t.quarters - on(), bars_off = contiguous ? std::round(off / bar) * bar : 0;
            return same_tempo(t) && t.numerator == last_.numerator && t.denominator == last_.denominator &&
                   std::abs(off - bars_off) < kTick;
        };
        const auto is_from_start = [&] { return std::abs(from_start() - t.quarters) < kTick; };
        int fitting = 0, fits = way_;
        for (const int way : {3, 2, 1, 0, way_}) {
            take(way);
            if (goes_on() || is_from_start()) fitting |= 1 << way, fits = way;
        }
        if (fitting == 1 << fits) way_ = fits;  // no other fits
        take(fits);
        told_position_ = told_position_ || t.quarters != 0;
        // Ardour, standing at its start, tells a frame that is a block or so on.
        const bool at_start = !t.playing && t.quarters == 0 && t.frame <= int64_t{2} * frames_;
        if (!told_position_ || at_start) t.quarters = from_start();
        else if (goes_on()) t.quarters = on();
        else if (is_from_start()) t.quarters = from_start();
        else if (last_.told && last_.playing && contiguous) from_beat(t, on(), unit);
    }

    // Exact to less than a frame, if what changed did so on a beat of the last block. `now` counts with its tempo.
    void from_beat(HostTime& t, double now, double unit) const {
        const double last_unit = 4.0 / last_.denominator, line = std::floor(now / last_unit + 1e-9) * last_unit;
        const double since = (now - line) * last_.frames_per_quarter() / t.frames_per_quarter();
        const double told_line = std::round((t.quarters - since) / unit) * unit;
        if (now - line <= last_frames_ / last_.frames_per_quarter() && std::abs(told_line + since - t.quarters) < kTick)
            t.quarters = told_line + since;
    }

    static constexpr double kTick = 1.0 / 960;  // of a quarter note: two of Ardour's
    const Format format_;
    HostTime last_;
    uint32_t frames_ = 0, last_frames_ = 0;
    int way_ = 0;  // in which an LV2 host tells its place and tempo
    bool last_playing_ = false, told_position_ = false;
};

}  // namespace resonantgen
