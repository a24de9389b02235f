#include "Player.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace resonantgen {

using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kLongestWait{20000}, kWaitForConnection{2000}, kWaitStep{1};

Player::Player(Shared& shared, double sample_rate) : shared_(shared) {
    time_.sample_rate = sample_rate;
    publish(0);
}

void Player::process(const HostTime& time, float gain, float* left, float* right, uint32_t frames) {
    const Stereo out{left, right};
    time_ = time;
    block_ = frames;
    gave_up_ = false;
    keep_clock(time);
    listen();
    if (!time.playing || !time.told) {
        std::fill_n(left, frames, 0.0f), std::fill_n(right, frames, 0.0f);
        take_at_once();
        rolling_ = false;
        gain_ = gain;
        return publish(time.frame);
    }
    const bool jumped = !rolling_ || time.frame != expected_;
    if (shared_.wait) {
        const auto is_of_it = [&](const Epoch& epoch) { return epoch.clock == clock_; };
        wait(time.frame, [&] { return is_of_it(playing_) || is_of_it(coming_) || is_of_it(fading_); });
    }
    if (jumped || playing_.epoch == 0 || (coming_.flags & kAtOnce)) take_at_once();
    else if (goes_over(frames)) fading_ = coming_, coming_ = Epoch{};
    fill(out, frames);
    apply(gain, out, frames);
    rolling_ = true;
    expected_ = time.frame + frames;
    publish(expected_);
}

void Player::stop() {
    rolling_ = time_.playing = false;
    publish(time_.frame);
}

// A new clock, unless quarter notes are where the clock's first block says, within half a frame.
void Player::keep_clock(const HostTime& t) {
    if (!t.told) return;
    const bool same = clock_ != 0 && t.sample_rate == anchor_.sample_rate && t.tempo == anchor_.tempo &&
                      t.numerator == anchor_.numerator && t.denominator == anchor_.denominator;
    const double quarters = anchor_.quarters + static_cast<double>(t.frame - anchor_.frame) / t.frames_per_quarter();
    if (same && std::abs(t.quarters - quarters) * t.frames_per_quarter() <= 0.5) return;
    ++clock_;
    anchor_ = t;
}

// Hears what the link announced. Another connection may be another engine: all of the old one is forgotten.
void Player::listen() {
    const uint32_t connection = shared_.connection.load(std::memory_order_acquire);
    if (connection != connection_) {
        connection_ = connection;
        playing_ = coming_ = fading_ = Epoch{};
        missed_engine_ = missed_engine_ && connection == 0;
    }
    Announcement heard;
    if (!shared_.announcement.read(heard) || heard.told == heard_ || heard.connection != connection_) return;
    heard_ = heard.told;
    coming_ = Epoch{};
    if (heard.epoch.epoch != playing_.epoch && heard.epoch.epoch != fading_.epoch) coming_ = heard.epoch;
}

// The coming epoch, or the one that is being crossfaded to, plays from this block on.
void Player::take_at_once() {
    if (fading_.epoch) playing_ = fading_;
    fading_ = Epoch{};
    if (coming_.epoch == 0 || coming_.clock != clock_) return;
    playing_ = coming_;
    coming_ = Epoch{};
}

// Whether this block begins the crossfade to the coming epoch. One that cannot begin when it is due is dropped: the
// engine announces it again, for a later bar line.
bool Player::goes_over(uint32_t frames) {
    const int64_t start = coming_.from - coming_.fade, end = std::max(coming_.from, start + 1);
    if (coming_.epoch == 0 || fading_.epoch || start >= time_.frame + frames) return false;
    const bool able = coming_.clock == clock_ && start >= time_.frame && coming_.epoch % 2 != playing_.epoch % 2;
    const uint32_t epoch = coming_.epoch;
    if (able && shared_.wait) wait(start, [&] { return coming_.epoch != epoch || has(epoch, start, end); });
    if (able && coming_.epoch == epoch && has(epoch, start, end)) return true;
    coming_ = Epoch{};
    return false;
}

bool Player::has(uint32_t epoch, int64_t from, int64_t to) const {
    for (int64_t chunk = chunk_of(from); chunk <= chunk_of(to - 1); ++chunk)
        if (!shared_.cache.has(epoch, chunk)) return false;
    return true;
}

// The block in spans that lie in one chunk, and before, in or after the crossfade.
void Player::fill(Stereo out, uint32_t frames) {
    bool complete = true;
    for (uint32_t done = 0; done < frames;) {
        const int64_t frame = time_.frame + done, fade_start = fading_.from - fading_.fade;
        if (fading_.epoch && frame >= fading_.from) playing_ = fading_, fading_ = Epoch{};
        int64_t end = std::min((chunk_of(frame) + 1) * kChunkFrames, time_.frame + frames);
        if (fading_.epoch) end = std::min(end, frame < fade_start ? fade_start : fading_.from);
        const uint32_t count = static_cast<uint32_t>(end - frame);
        const Stereo old{out.left + done, out.right + done};
        complete &= read(playing_.epoch, frame, count, old);
        if (fading_.epoch && frame >= fade_start) {
            float left[kChunkFrames], right[kChunkFrames];
            complete &= read(fading_.epoch, frame, count, {left, right});
            for (uint32_t i = 0; i < count; ++i) {
                const double place = (static_cast<double>(frame - fade_start + i) + 0.5) / fading_.fade;
                const double g = 0.5 - 0.5 * std::cos(3.14159265358979323846 * place);
                old.left[i] = static_cast<float>(old.left[i] + (double{left[i]} - old.left[i]) * g);
                old.right[i] = static_cast<float>(old.right[i] + (double{right[i]} - old.right[i]) * g);
            }
        }
        done += count;
    }
    if (fading_.epoch && time_.frame + frames >= fading_.from) playing_ = fading_, fading_ = Epoch{};
    if (!complete) shared_.underruns.fetch_add(1, std::memory_order_relaxed);
}

// Part of a chunk; zeros and false if it is not there.
bool Player::read(uint32_t epoch, int64_t frame, uint32_t frames, Stereo out) {
    const int64_t chunk = chunk_of(frame);
    const uint32_t offset = static_cast<uint32_t>(frame - chunk * kChunkFrames);
    const auto there = [&] { return shared_.cache.read(epoch, chunk, offset, frames, out.left, out.right); };
    const uint32_t connection = connection_;
    const auto there_or_lost = [&] { return connection != connection_ || there(); };
    if (epoch != 0 && (there() || (shared_.wait && wait(frame, there_or_lost) && connection == connection_))) return true;
    std::fill_n(out.left, frames, 0.0f), std::fill_n(out.right, frames, 0.0f);
    return false;
}

// Sleeps in small steps until it is done. False when it gave up: for the rest of this block, or, without an engine,
// until there is one.
template <class Done> bool Player::wait(int64_t frame, Done done) {
    const auto start = std::chrono::steady_clock::now();
    publish(frame);
    while (!done()) {
        const auto waited = std::chrono::steady_clock::now() - start;
        if (connection_ == 0 && waited >= kWaitForConnection) missed_engine_ = true;
        if (gave_up_ || missed_engine_ || waited >= kLongestWait || !shared_.wait) return gave_up_ = true, false;
        std::this_thread::sleep_for(kWaitStep);
        listen();
    }
    return true;
}

void Player::publish(int64_t frame) {
    Status s;
    s.clock = clock_, s.frame = frame, s.sample_rate = time_.sample_rate, s.tempo = time_.tempo;
    s.quarters = time_.quarters + static_cast<double>(frame - time_.frame) / time_.frames_per_quarter();
    s.numerator = time_.numerator, s.denominator = time_.denominator;
    s.flags = (time_.playing ? kPlaying : 0u) | (time_.told ? kTold : 0u);
    s.underruns = shared_.underruns.load(std::memory_order_relaxed), s.epoch = playing_.epoch, s.block = block_;
    shared_.place.write(s);
}

// A gain of 1 leaves every bit; a changed one is reached at the block's last frame, in a straight line.
void Player::apply(float gain, Stereo out, uint32_t frames) {
    const float from = gain_ < 0 ? gain : gain_, step = (gain - from) / static_cast<float>(frames ? frames : 1);
    gain_ = gain;
    if (from == 1.0f && gain == 1.0f) return;
    for (uint32_t i = 0; i < frames; ++i) {
        const float g = i + 1 == frames ? gain : from + step * static_cast<float>(i + 1);
        out.left[i] *= g, out.right[i] *= g;
    }
}

}  // namespace resonantgen
