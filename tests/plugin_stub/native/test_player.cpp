// What the audio thread does: each sample of the epochs, their crossfades, the clock, and waiting.
#include "Player.hpp"

#include <cmath>

#include "check.hpp"

using namespace resonantgen;

// Sound that tells its epoch and its frame, in bits that any arithmetic would change.
static float left_of(uint32_t epoch, int64_t frame) { return std::sin(static_cast<float>(frame % 9973) * 0.37f + static_cast<float>(epoch)); }
static float right_of(uint32_t epoch, int64_t frame) { return -0.5f * left_of(epoch + 7, frame + 1); }

struct Host {
    Shared shared;
    Player player{shared, 48000};
    HostTime time;
    std::vector<float> left, right;  // of the last block
    uint32_t connection = 0, told = 0;

    Host() { time.playing = time.told = true; }
    void connect() { shared.connection = ++connection; }
    void put(uint32_t epoch, int64_t from, int64_t to) {
        for (int64_t chunk = chunk_of(from); chunk <= chunk_of(to - 1); ++chunk) {
            std::vector<uint8_t> bytes;
            for (int64_t i = 0; i < kChunkFrames; ++i) {
                for (const float value : {left_of(epoch, chunk * kChunkFrames + i), right_of(epoch, chunk * kChunkFrames + i)}) {
                    uint32_t bits;
                    std::memcpy(&bits, &value, 4);
                    for (int b = 0; b < 4; ++b) bytes.push_back(static_cast<uint8_t>(bits >> (8 * b)));
                }
            }
            Reader reader(bytes.data(), bytes.size());
            shared.cache.write(epoch, chunk, reader);
        }
    }
    void announce(uint32_t epoch, int64_t from, uint32_t fade = 0, uint32_t flags = 0, uint32_t clock = 1) {
        shared.announcement.write({{epoch, clock, from, fade, flags}, connection, ++told});
    }
    // One block, and the host goes on. Nothing is allocated meanwhile.
    void play(uint32_t frames, float gain = 1) {
        left.assign(frames, 9.0f), right.assign(frames, 9.0f);
        check::watching = true;
        player.process(time, gain, left.data(), right.data(), frames);
        check::watching = false;
        CHECK(check::allocations == 0);
        if (time.playing) time.quarters += frames / time.frames_per_quarter(), time.frame += frames;
    }
    int64_t start() const { return time.playing ? time.frame - static_cast<int64_t>(left.size()) : time.frame; }
    bool heard(uint32_t epoch) const {  // the whole block, bit by bit; 0: silence
        for (size_t i = 0; i < left.size(); ++i) {
            const int64_t frame = start() + static_cast<int64_t>(i);
            const float l = epoch ? left_of(epoch, frame) : 0.0f, r = epoch ? right_of(epoch, frame) : 0.0f;
            if (std::memcmp(&l, &left[i], 4) || std::memcmp(&r, &right[i], 4)) return false;
        }
        return true;
    }
    void jump(int64_t frame) {
        time.quarters += static_cast<double>(frame - time.frame) / time.frames_per_quarter();
        time.frame = frame;
    }
    Status status() const { Status s; CHECK(shared.place.read(s)); return s; }
    uint32_t epoch() const { return status().epoch; }
    uint32_t underruns() const { return shared.underruns; }
};

// A host that plays epoch 1, and has played a block of it.
struct Playing : Host {
    explicit Playing(int64_t from = 0, int64_t to = 40000) {
        connect();
        jump(from);
        put(1, from, to), announce(1, from, 480, kAtOnce);
        play(512);
        CHECK(heard(1) && epoch() == 1 && underruns() == 0);
    }
};

TEST(silence_is_an_underrun_only_where_sound_was_due) {
    Host host;
    host.play(64);
    CHECK(host.heard(0) && host.underruns() == 1);
    host.time.playing = false;
    host.play(64);
    host.time.playing = true, host.time.told = false;
    host.play(64);
    CHECK(host.heard(0) && host.underruns() == 1 && host.status().flags == kPlaying);
    host.time.told = true;
    host.play(2048);  // two chunks of one block
    CHECK(host.underruns() == 2 && host.status().underruns == 2);
}

TEST(every_bit_is_played_in_irregular_blocks_from_before_zero) {
    Playing host(-5000, 40000);
    std::mt19937 random(3);
    while (host.time.frame < 30000) {
        host.play(1 + random() % 3000);
        CHECK(host.heard(1) && host.status().frame == host.time.frame);
    }
    CHECK(host.underruns() == 0 && host.status().clock == 1);
}

TEST(a_gap_is_silent_and_counts_once_a_block) {
    Playing host;
    host.shared.cache.clear();
    host.put(1, 2048, 3072);
    host.jump(1024);
    host.play(3072);
    for (int i = 0; i < 3072; ++i) CHECK(host.left[i] == (i / 1024 == 1 ? left_of(1, 1024 + i) : 0.0f));
    CHECK(host.underruns() == 1);
}

static void crossfade(uint32_t block, uint32_t fade, int64_t from) {
    Playing host;
    host.put(2, 0, 40000), host.announce(2, from, fade);
    while (host.time.frame < 30000) {
        host.play(block);
        for (size_t i = 0; i < host.left.size(); ++i) {
            const int64_t frame = host.start() + static_cast<int64_t>(i), into = frame - (from - fade);
            const double place = std::min(1.0, std::max(0.0, (static_cast<double>(into) + 0.5) / std::max(fade, 1u)));
            const double g = frame >= from ? 1 : into < 0 ? 0 : 0.5 - 0.5 * std::cos(M_PI * place);
            const float l = static_cast<float>(left_of(1, frame) + (double{left_of(2, frame)} - left_of(1, frame)) * g);
            const float r = static_cast<float>(right_of(1, frame) + (double{right_of(2, frame)} - right_of(1, frame)) * g);
            if (g == 0 || g == 1) CHECK(host.left[i] == (g == 0 ? left_of(1, frame) : left_of(2, frame)));
            CHECK(host.left[i] == l || std::abs(host.left[i] - l) < 1e-7f);
            CHECK(host.right[i] == r || std::abs(host.right[i] - r) < 1e-7f);
        }
        CHECK(host.epoch() == (host.time.frame >= from + (fade == 0) ? 2u : 1u));
    }
    CHECK(host.underruns() == 0);
}

TEST(crossfades_end_at_the_bar_line_in_all_blocks) {
    for (const uint32_t block : {16u, 100u, 512u, 1024u, 5000u})
        for (const uint32_t fade : {0u, 1u, 480u, 3000u})
            for (const int64_t from : {8192, 9001}) crossfade(block, fade, from);
}

TEST(what_comes_too_late_waits_for_the_next_time) {
    Playing host;
    host.put(2, 0, 40000);
    host.announce(2, 900, 480);  // the fade would have begun at 420
    for (int i = 0; i < 3; ++i) host.play(512), CHECK(host.heard(1) && host.epoch() == 1);
    host.announce(2, 3000, 480);
    host.play(400), CHECK(host.heard(1));
    host.play(1000), CHECK(host.epoch() == 2);
    host.play(512), CHECK(host.heard(2) && host.underruns() == 0);
}

TEST(without_its_sound_an_epoch_does_not_begin) {
    Playing host;
    host.put(2, 3072, 40000);  // of the fade from 2520 to 3100, the first frames are missing
    host.announce(2, 3100, 580);
    for (int i = 0; i < 6; ++i) host.play(512), CHECK(host.heard(1));
    host.put(2, 2048, 3072);
    host.play(512), CHECK(host.heard(1));  // it came, but too late
    host.announce(2, 6000, 580);
    host.play(2500), host.play(512), CHECK(host.heard(2) && host.underruns() == 0);
}

TEST(at_once_and_jumps_do_not_wait) {
    Playing host;
    host.put(2, 0, 40000), host.announce(2, 30000, 480);
    host.play(512), CHECK(host.heard(1));
    host.jump(20000);
    host.play(512), CHECK(host.heard(2) && host.epoch() == 2);
    host.put(3, 0, 40000), host.announce(3, 39000, 480, kAtOnce);
    host.play(512), CHECK(host.heard(3));
    host.put(4, 0, 40000), host.announce(4, 39000, 480);
    host.time.playing = false;
    host.play(512), CHECK(host.heard(0) && host.epoch() == 4 && host.status().flags == kTold);
    host.time.playing = true;
    host.play(512), CHECK(host.heard(4) && host.underruns() == 0);
}

TEST(a_jump_out_of_a_crossfade_lands_in_the_new_epoch) {
    Playing host;
    host.put(2, 0, 40000), host.announce(2, 3000, 2000);
    host.play(1500), CHECK(host.epoch() == 1);  // in the midst of it
    host.announce(2, 9000, 480);                // the engine thought that it was missed
    host.jump(100);
    host.play(512), CHECK(host.heard(2) && host.epoch() == 2);
    host.jump(8000);
    host.play(3000), CHECK(host.heard(2) && host.underruns() == 0);
}

TEST(the_last_told_of_two_is_heard) {
    Playing host;
    host.put(2, 0, 40000), host.announce(2, 3000, 480);
    host.put(4, 0, 40000), host.announce(4, 3000, 480);
    host.play(3000);
    host.play(512), CHECK(host.epoch() == 4);
}

TEST(epochs_of_another_clock_or_of_the_same_parity_are_not_gone_over_to) {
    Playing host;
    host.put(2, 0, 40000), host.announce(2, 2048, 480, 0, 7);
    for (int i = 0; i < 6; ++i) host.play(512), CHECK(host.heard(1));
    host.announce(2, 9000, 480, kAtOnce, 7);
    host.play(512), CHECK(host.heard(1));
    host.put(3, 5120, 7168), host.announce(3, 7000, 480);  // all that a crossfade takes
    while (host.time.frame < 9000) host.play(512), CHECK(host.epoch() == 1);
}

TEST(the_clock_is_new_when_bars_or_tempo_are) {
    Playing host(0, 200000);
    CHECK(host.status().clock == 1 && host.status().tempo == 120);
    const auto changed = [&](auto change) {
        const uint32_t before = host.status().clock;
        change(host.time);
        host.play(64);
        return host.status().clock - before;
    };
    CHECK(changed([&](HostTime&) { host.jump(190000); }) == 0);
    CHECK(changed([&](HostTime&) { host.jump(-300000); }) == 0);
    CHECK(changed([](HostTime& t) { t.quarters += 0.4 / t.frames_per_quarter(); }) == 0);
    CHECK(changed([](HostTime& t) { t.quarters += 0.4 / t.frames_per_quarter(); }) == 1);  // 0.8 in all
    CHECK(changed([](HostTime& t) { t.tempo = 121; }) == 1);
    CHECK(changed([](HostTime& t) { t.numerator = 3; }) == 1);
    CHECK(changed([](HostTime& t) { t.denominator = 8; }) == 1);
    CHECK(changed([](HostTime& t) { t.sample_rate = 44100; }) == 1);
    CHECK(changed([](HostTime& t) { t.quarters += 1; }) == 1);
    CHECK(changed([](HostTime& t) { t.told = false, t.quarters = 77; }) == 0);
    CHECK(changed([](HostTime&) {}) == 0);
}

TEST(another_engine_brings_no_old_sound) {
    Playing host;
    host.shared.connection = 0;
    host.play(512), CHECK(host.heard(0) && host.epoch() == 0 && host.underruns() == 1);
    host.connect();
    host.play(512), CHECK(host.heard(0));  // what the first one told is not taken again
    host.put(1, 0, 40000), host.announce(1, 0, 480, 0);
    host.play(512), CHECK(host.heard(1));
    host.connect();  // so quick that the player did not see it go
    host.play(512), CHECK(host.heard(0));
}

TEST(gain_goes_in_a_straight_line_and_1_is_exact) {
    Playing host;
    host.play(100, 0.5f);
    for (int i = 0; i < 100; ++i) CHECK(std::abs(host.left[i] - left_of(1, 512 + i) * (1 - 0.005f * static_cast<float>(i + 1))) < 1e-5f);
    CHECK(host.left[99] == left_of(1, 611) * 0.5f);
    host.play(100, 0.5f);
    for (int i = 0; i < 100; ++i) CHECK(host.left[i] == left_of(1, 612 + i) * 0.5f);
    host.play(100, 1), host.play(100, 1);
    CHECK(host.heard(1));
}

TEST(stopped_hosts_are_told_of) {
    Playing host;
    host.player.stop();
    CHECK(host.status().flags == kTold && host.status().frame == 0);  // where its last block began
    host.play(512), CHECK(host.heard(1));
}

TEST(waiting_for_an_epoch_and_for_sound_makes_it_complete) {
    Host host;
    host.shared.wait = true;
    std::thread link([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        host.connect();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        host.announce(1, 0);
        int64_t done = 0;
        while (done < 11000) {  // where the player is, a chunk at a time
            Status s;
            if (host.shared.place.read(s) && s.frame + 1024 > done && s.epoch == 1) host.put(1, done, done + 1), done += 1024;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    });
    host.play(1), CHECK(host.heard(1));
    for (int i = 0; i < 10; ++i) host.play(1000), CHECK(host.heard(1));
    CHECK(host.underruns() == 0);
    link.join();
}

TEST(waiting_for_a_crossfade_makes_it_due) {
    Playing host;
    host.shared.wait = true;
    host.announce(2, 2000, 480);
    std::thread link([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        host.put(2, 0, 10000);
    });
    host.play(3000), CHECK(host.epoch() == 2);
    host.play(100), CHECK(host.heard(2) && host.underruns() == 0);
    link.join();
}

TEST(a_new_clock_is_waited_for_while_the_old_epoch_plays) {
    Playing host;
    host.shared.wait = true;
    host.time.tempo = 90;
    std::thread link([&] {
        check::wait_for("clock 2", [&] { return host.status().clock == 2; });
        host.put(2, 0, 40000);
        host.announce(2, 1500, 480, 0, 2);
    });
    host.play(256), CHECK(host.heard(1));
    link.join();
    host.play(1000), host.play(512), CHECK(host.heard(2) && host.underruns() == 0);
}

TEST(without_an_engine_it_waits_once) {
    Host host;
    host.shared.wait = true;
    const auto start = std::chrono::steady_clock::now();
    host.play(64), CHECK(host.heard(0) && check::seconds_since(start) >= 2);
    for (int i = 0; i < 30; ++i) host.play(64);  // would be a minute
    CHECK(check::seconds_since(start) < 30 && host.underruns() == 31);
    host.connect();
    std::thread link([&] { host.put(1, 0, 40000), host.announce(1, 0); });
    host.play(64), CHECK(host.heard(1));  // waits again
    link.join();
}

TEST(an_engine_that_goes_ends_the_wait) {
    Playing host;
    host.shared.wait = true;
    host.shared.cache.clear();
    const auto start = std::chrono::steady_clock::now();
    std::thread link([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        host.shared.connection = 0;
    });
    host.play(5000), CHECK(host.heard(0) && host.underruns() == 1 && check::seconds_since(start) < 15);
    link.join();
}

// All of it at once, for the thread sanitizer: a link that writes, clears and announces, a host that plays on.
TEST(both_threads_at_full_speed) {
    Host host;
    host.connect();
    std::atomic<bool> quit{false};
    std::thread link([&] {
        std::mt19937 random(5);
        for (uint32_t epoch = 1; !quit; epoch += 1) {
            Status s;
            if (!host.shared.place.read(s)) continue;
            host.put(epoch, s.frame, s.frame + 3000);
            host.announce(epoch, s.frame + 2000, 480, random() % 2);
            if (random() % 50 == 0) host.shared.connection = 0, host.shared.cache.clear(), host.shared.connection = ++host.connection;
        }
    });
    std::vector<float> left(777), right(777);
    for (int block = 0; block < 2000; ++block) {
        host.player.process(host.time, 1, left.data(), right.data(), 777);
        host.time.quarters += 777 / host.time.frames_per_quarter(), host.time.frame += 777;
        for (const float value : left) CHECK(std::abs(value) <= 1);
    }
    quit = true;
    link.join();
}
