// What the audio thread does: keeps the clock and the epochs, and fills blocks from the cache (docs/plugin-link.md).
// Threads: all of it belongs to the audio thread. Nothing here allocates, locks or blocks, but for the sleeping in
// `wait`, which happens only while Wait for engine is on.
#pragma once
#include "Ring.hpp"

namespace resonantgen {

// Where the host is at a block's first frame. Unless it `told` so, tempo, meter and quarters mean nothing.
struct HostTime {
    int64_t frame = 0;
    double sample_rate = 48000, tempo = 120, quarters = 0;
    uint16_t numerator = 4, denominator = 4;
    bool playing = false, told = false;
    double frames_per_quarter() const { return 60.0 * sample_rate / tempo; }
};

class Player {
public:
    Player(Shared& shared, double sample_rate);
    void process(const HostTime& time, float gain, float* left, float* right, uint32_t frames);
    void stop();  // the host stops calling: the engine is told that nothing plays

private:
    struct Stereo { float *left, *right; };

    void keep_clock(const HostTime& time);
    void listen();
    void take_at_once();
    bool goes_over(uint32_t frames);
    bool has(uint32_t epoch, int64_t from, int64_t to) const;
    void fill(Stereo out, uint32_t frames);
    bool read(uint32_t epoch, int64_t frame, uint32_t frames, Stereo out);
    template <class Done> bool wait(int64_t frame, Done done);
    void publish(int64_t frame);
    void apply(float gain, Stereo out, uint32_t frames);

    Shared& shared_;
    HostTime time_, anchor_;  // this block's; the one from which the clock counts
    uint32_t clock_ = 0, block_ = 0, connection_ = 0, heard_ = 0;
    Epoch playing_, coming_, fading_;  // epoch 0: none
    int64_t expected_ = 0;             // the frame that follows without a jump
    bool rolling_ = false, gave_up_ = false, missed_engine_ = false;
    float gain_ = -1;  // below 0: no block yet
};

}  // namespace resonantgen
