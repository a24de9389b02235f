// The host's time out of DPF's: what its wrappers for each format do to it is done here, and must be undone.
#include "Timeline.hpp"

#include "check.hpp"

using namespace resonantgen;

struct Bbt {
    bool valid = true;
    int bar = 1, beat = 1;
    double tick = 0;
    float beatsPerBar = 4, beatType = 4;
    double ticksPerBeat = 1920, beatsPerMinute = 120;
};
struct Position { bool playing = true; uint64_t frame = 0; Bbt bbt; };
struct Meter { int numerator, denominator; };

static const Meter kMeters[] = {{4, 4}, {3, 4}, {6, 8}, {7, 8}, {5, 4}, {12, 8}, {2, 2}, {9, 16}, {3, 16}, {1, 8}};

static Position vst3(double quarters, int64_t frame, double tempo, Meter meter) {
    Position p;
    p.frame = static_cast<uint64_t>(frame);
    p.bbt.beatsPerMinute = tempo, p.bbt.beatsPerBar = static_cast<float>(meter.numerator);
    p.bbt.beatType = static_cast<float>(meter.denominator);
    const double bar = meter.numerator * 4.0 / meter.denominator;  // as our copy of it does (see the plugin's Makefile)
    const double place = std::abs(quarters), beats = std::fmod(place, bar) / bar * meter.numerator, rest = std::fmod(beats, 1.0);
    p.bbt.bar = static_cast<int>(place / bar) + 1;
    p.bbt.beat = static_cast<int>(beats - rest + 0.5) + 1;
    p.bbt.tick = rest * 1920;
    if (quarters < 0) {
        --p.bbt.bar;
        p.bbt.beat = meter.numerator - p.bbt.beat + 1;
        p.bbt.tick = 1920 - p.bbt.tick - 1;
    }
    return p;
}

static Position clap(double quarters, int64_t steady, double tempo, Meter meter) {
    Position p;
    p.frame = static_cast<uint64_t>(steady);
    p.bbt.beatsPerMinute = tempo, p.bbt.beatsPerBar = static_cast<float>(meter.numerator);
    p.bbt.beatType = static_cast<float>(meter.denominator);
    const int64_t place = std::llround(std::fmax(0.0, quarters) * 2147483648.0), beats = place >> 31;
    p.bbt.bar = static_cast<int>(beats) / meter.numerator + 1;
    p.bbt.beat = static_cast<int>(beats % meter.numerator) + 1;
    p.bbt.tick = static_cast<double>(place & 0x7fffffff) / 2147483648.0 * 1920;
    return p;
}

static Position lv2(double quarters, int64_t frame, double tempo, Meter meter, double ticks_per_beat = 0) {
    Position p;
    p.frame = static_cast<uint64_t>(frame);
    p.bbt.beatsPerMinute = static_cast<float>(tempo), p.bbt.beatsPerBar = static_cast<float>(meter.numerator);
    p.bbt.beatType = static_cast<float>(meter.denominator);
    const double beats = quarters * meter.denominator / 4, bar = std::floor(beats / meter.numerator);
    double in_bar = beats - bar * meter.numerator;
    if (ticks_per_beat > 0) in_bar = std::floor(in_bar * ticks_per_beat) / ticks_per_beat;  // a host with whole ticks
    const double told = static_cast<float>(in_bar), rest = std::fmod(told, 1.0);
    p.bbt.bar = static_cast<int>(bar) + 1;
    p.bbt.beat = static_cast<int>(std::round(told - rest + 1));
    p.bbt.tick = rest * 1920;
    return p;
}

static bool near(double a, double b, double by) { return std::abs(a - b) < by; }

TEST(vst3_positions_are_found_again_in_every_meter) {
    std::mt19937 random(6);
    for (const Meter meter : kMeters) {
        for (int i = 0; i < 500; ++i) {
            const double tempo = 60 + static_cast<double>(random() % 120000) / 1000;
            const int64_t frame = static_cast<int64_t>(random() % 40000000) - 1000000;
            const double quarters = static_cast<double>(frame) * tempo / (60 * 48000.0);
            Timeline timeline(Format::kVst3);
            const HostTime t = timeline.read(vst3(quarters, frame, tempo, meter), 48000, 512);
            CHECK(t.told && t.frame == frame && t.tempo == tempo && near(t.quarters, quarters, 1e-6));
            CHECK(t.numerator == meter.numerator && t.denominator == meter.denominator);
        }
        Timeline timeline(Format::kVst3);  // a whole bar, and right before it
        const double bar = 4.0 * meter.numerator / meter.denominator;
        for (const double quarters : {0.0, bar, 2 * bar - 1e-4, 8 * bar})
            CHECK(near(timeline.read(vst3(quarters, 1, 120, meter), 48000, 1).quarters, quarters, 1e-9));
    }
}

TEST(clap_frames_follow_the_song_and_not_the_steady_time) {
    for (const Meter meter : kMeters) {
        Timeline timeline(Format::kClap);
        const double per_frame = 97.3 / (60 * 44100.0);
        int64_t steady = 777, frame = 44100;
        for (int block = 0; block < 300; ++block) {
            if (block == 100) frame = 5;         // a jump
            if (block == 200) frame = 90000000;  // half an hour on
            const HostTime t = timeline.read(clap(static_cast<double>(frame) * per_frame, steady, 97.3, meter), 44100, 333);
            CHECK(t.frame == frame && near(t.quarters, static_cast<double>(frame) * per_frame, 1e-7));
            steady += 333, frame += 333;
        }
    }
}

TEST(clap_frames_go_on_through_a_change_of_tempo) {
    Timeline timeline(Format::kClap);
    double quarters = 2;
    int64_t frame = 48000;
    for (int block = 0; block < 100; ++block) {
        const double tempo = block < 50 ? 120 : 90;
        CHECK(timeline.read(clap(quarters, 0, tempo, {4, 4}), 48000, 512).frame == frame);
        frame += 512, quarters += 512 * tempo / (60 * 48000.0);
    }
    // Back, at the tempo that it has: the frames lie as they lay.
    const HostTime t = timeline.read(clap(quarters - 1, 0, 90, {4, 4}), 48000, 512);
    CHECK(t.frame == frame - 32000);
}

TEST(clap_before_its_start_stands_still) {
    Timeline timeline(Format::kClap);
    for (int block = 0; block < 5; ++block) CHECK(timeline.read(clap(-1, 0, 120, {4, 4}), 48000, 512).playing == (block == 0));
}

TEST(lv2_positions_in_ticks_are_one_clock) {
    for (const Meter meter : kMeters) {
        Shared shared;
        Player player(shared, 48000);
        Timeline timeline(Format::kLv2);
        std::vector<float> left(512), right(512);
        std::mt19937 random(7);
        int64_t frame = 0;
        for (int block = 0; block < 600; ++block) {
            if (block % 50 == 49) frame = random() % 50000000;
            const double quarters = static_cast<double>(frame) * 120.7 / (60 * 48000.0);
            Position p = lv2(quarters, frame, 120.7, meter, 1920);
            if (block % 7 == 3 && block % 50 != 49) ++p.bbt.bar;  // as DPF does when it counts on
            const HostTime t = timeline.read(p, 48000, 512);
            CHECK(t.tempo == 120.7 && near(t.quarters, quarters, 1e-7));
            player.process(t, 1, left.data(), right.data(), 512);
            frame += 512;
        }
        Status s;
        CHECK(shared.place.read(s) && s.clock == 1);
    }
}

TEST(lv2_tempos_are_what_their_float_stands_for) {
    for (const double tempo : {97.3, 113.507, 120.0, 292.0 / 3, 1000.0 / 7, 123.0 + 5.0 / 11}) {
        Timeline timeline(Format::kLv2);
        HostTime t;
        for (int64_t frame = 0; frame < 4096; frame += 512)
            t = timeline.read(lv2(static_cast<double>(frame) * tempo / (60 * 48000.0), frame, tempo, {4, 4}), 48000, 512);
        CHECK(near(t.tempo, tempo, 1e-12));
    }
}

TEST(lv2_songs_that_do_not_start_at_frame_0_keep_their_bars) {
    Timeline timeline(Format::kLv2);
    for (int64_t frame = 12345; frame < 2000000; frame += 512) {
        const double quarters = static_cast<double>(frame - 12000) * 100 / (60 * 48000.0);
        CHECK(near(timeline.read(lv2(quarters, frame, 100, {4, 4}), 48000, 512).quarters, quarters, 1e-5));
    }
}

TEST(lv2_tempo_of_the_meters_beats_is_found_out) {
    Timeline timeline(Format::kLv2);
    const int64_t frame = 4800000;
    const double quarters = static_cast<double>(frame) * 60 / (60 * 48000.0);  // eighths at 120
    const HostTime t = timeline.read(lv2(quarters, frame, 120, {6, 8}), 48000, 512);
    CHECK(t.tempo == 60 && near(t.quarters, quarters, 1e-6));
}

// As Ardour 7.3 was seen to tell it: in each block, whole ticks of 1920 a quarter note, whatever a beat is.
static Position ardour(double quarters, int64_t frame, double tempo, Meter meter) {
    const double unit = 4.0 / meter.denominator, beats = std::floor(quarters / unit + 1e-9);
    Position p = lv2(beats * unit, frame, tempo, meter);
    p.bbt.tick = std::round((quarters - beats * unit) * 1920);
    if (p.bbt.tick * unit >= 1920 * unit * unit) p.bbt.tick = 1920 * unit - 1;
    if (p.bbt.tick >= 1920) p.bbt.tick -= 1920, ++p.bbt.beat;
    return p;
}

TEST(lv2_of_ardour_is_one_clock_in_every_meter) {
    for (const Meter meter : kMeters) {
        Timeline timeline(Format::kLv2);
        for (int64_t frame = 256, block = 256; frame < 3000000; frame += block, block = 1024) {
            const double quarters = static_cast<double>(frame) * 97.3 / (60 * 48000.0);
            const HostTime t = timeline.read(ardour(quarters, frame, 97.3, meter), 48000, block);
            CHECK(t.tempo == 97.3 && near(t.quarters, quarters, 1e-7));
        }
    }
}

TEST(lv2_tempo_changed_on_a_beat_is_exact) {
    std::mt19937 random(8);
    for (int i = 0; i < 300; ++i) {
        const Meter meter = kMeters[random() % 4];
        const double before = 170, after = 60 + static_cast<double>(random() % 120000) / 1000;
        const double line = (8 + static_cast<double>(random() % 20)) * 4 / meter.denominator, changed = line * 60 * 48000 / before;
        Timeline timeline(Format::kLv2);
        for (int64_t frame = 0; frame < 1000000; frame += 1024) {
            const bool old = static_cast<double>(frame) < changed;
            const double quarters = old ? static_cast<double>(frame) * before / (60 * 48000.0)
                                        : line + (static_cast<double>(frame) - changed) * after / (60 * 48000.0);
            const HostTime t = timeline.read(ardour(quarters, frame, old ? before : after, meter), 48000, 1024);
            CHECK(near(t.tempo, old ? before : after, 1e-9) && near(t.quarters, quarters, 1e-7));
        }
    }
}

TEST(lv2_of_ardour_that_stands_at_its_start_keeps_its_clock) {
    Timeline timeline(Format::kLv2);
    Position p = ardour(0, 1040, 170, {4, 4});
    p.playing = false;
    CHECK(near(timeline.read(p, 48000, 1024).quarters, 1040 * 170 / (60 * 48000.0), 1e-9));
    CHECK(near(timeline.read(ardour(0, 0, 170, {4, 4}), 48000, 16).quarters, 0, 1e-9));
}

TEST(lv2_hosts_without_positions_count_frames) {
    Timeline timeline(Format::kLv2);
    for (int64_t frame = 0; frame < 100000; frame += 700) {
        Position p;
        p.frame = static_cast<uint64_t>(frame);
        CHECK(near(timeline.read(p, 48000, 700).quarters, static_cast<double>(frame) / 24000, 1e-9));
    }
}

TEST(nonsense_is_not_told) {
    for (const Format format : {Format::kVst3, Format::kClap, Format::kLv2}) {
        for (const double bad : {0.0, -1.0, 1e9, std::nan(""), HUGE_VAL}) {
            for (int field = 0; field < 4; ++field) {
                Position p;
                if (field == 0) p.bbt.beatsPerMinute = bad;
                if (field == 1) p.bbt.beatsPerBar = static_cast<float>(bad);
                if (field == 2) p.bbt.beatType = static_cast<float>(bad);
                if (field == 3) p.bbt.ticksPerBeat = bad > 1 && bad < HUGE_VAL ? 0 : bad;
                const HostTime t = Timeline(format).read(p, 48000, 512);
                CHECK(!t.told || (field == 3 && bad == HUGE_VAL));
            }
        }
        Position p;
        p.bbt.valid = false;
        CHECK(!Timeline(format).read(p, 48000, 512).told);
    }
}
