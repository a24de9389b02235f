// The messages of docs/plugin-link.md: bytes to values and back, little-endian, bounds checked.
// Threads: functions of their arguments alone; no state, no allocation but in the vector that is written to.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace resonantgen {

constexpr uint32_t kChunkFrames = 1024, kLargestMessage = 1u << 20, kMostChunks = 64, kMostNotes = 64, kLongestFade = 65536;
constexpr uint16_t kVersion = 1;
constexpr uint32_t kMagic = 0x4C504752;  // "RGPL"

enum Kind : uint16_t { kHello = 1, kWelcome, kRefused, kStatus, kNotes, kEpoch, kPull, kPcm, kState };
enum StatusFlag : uint32_t { kPlaying = 1, kLock = 2, kWait = 4, kTold = 8 };
enum EpochFlag : uint32_t { kAtOnce = 1 };

struct Status {
    uint32_t clock = 0;
    int64_t frame = 0;
    double sample_rate = 0, tempo = 0, quarters = 0;
    uint16_t numerator = 4, denominator = 4;
    uint32_t flags = 0;
    uint16_t track = 1;
    uint32_t regenerations = 0, underruns = 0, epoch = 0, block = 0;
};

struct Epoch {
    uint32_t epoch = 0, clock = 0;
    int64_t from = 0;
    uint32_t fade = 0, flags = 0;
};

// Appends one message to a buffer; its size is right at every moment.
class Writer {
public:
    Writer(std::vector<uint8_t>& out, Kind kind) : out_(out), start_(out.size()) {
        out_.resize(start_ + 4);
        put<uint16_t>(kind);
    }
    template <class T> Writer& put(T value) {
        uint64_t bits = 0;
        if constexpr (std::is_same_v<T, double>) std::memcpy(&bits, &value, 8);
        else bits = static_cast<uint64_t>(value);
        for (size_t i = 0; i < sizeof(T); ++i) out_.push_back(static_cast<uint8_t>(bits >> (8 * i)));
        const size_t size = out_.size() - start_ - 4;
        for (size_t i = 0; i < 4; ++i) out_[start_ + i] = static_cast<uint8_t>(size >> (8 * i));
        return *this;
    }

private:
    std::vector<uint8_t>& out_;
    size_t start_;
};

// Reads the fields of a message's body. After a read over its end, `ok` is false and values are 0.
class Reader {
public:
    Reader(const uint8_t* at, size_t size) : at_(at), left_(size) {}
    template <class T> T get() {
        static_assert(std::is_integral_v<T>, "the engine sends whole numbers, and samples by get_frame");
        uint64_t bits = 0;
        if (!ok || left_ < sizeof(T)) return ok = false, T{};
        for (size_t i = 0; i < sizeof(T); ++i) bits |= uint64_t{at_[i]} << (8 * i);
        at_ += sizeof(T), left_ -= sizeof(T);
        return static_cast<T>(bits);
    }
    Reader take(size_t size) {  // the next bytes, on their own
        const Reader taken(at_, size < left_ ? size : left_);
        at_ += taken.left_, left_ -= taken.left_;
        return taken;
    }
    size_t left() const { return left_; }
    bool ok = true;

private:
    const uint8_t* at_;
    size_t left_;
};

inline void write_status(std::vector<uint8_t>& out, const Status& s) {
    Writer(out, kStatus).put(s.clock).put(s.frame).put(s.sample_rate).put(s.tempo).put(s.quarters).put(s.numerator)
        .put(s.denominator).put(s.flags).put(s.track).put(s.regenerations).put(s.underruns).put(s.epoch).put(s.block);
}

inline bool same_but_for_position(const Status& a, const Status& b) {
    return a.clock == b.clock && a.sample_rate == b.sample_rate && a.flags == b.flags && a.track == b.track &&
           a.regenerations == b.regenerations && a.underruns == b.underruns && a.epoch == b.epoch && a.block == b.block;
}

inline bool read_epoch(Reader body, Epoch& e) {
    e.epoch = body.get<uint32_t>(), e.clock = body.get<uint32_t>(), e.from = body.get<int64_t>();
    e.fade = body.get<uint32_t>(), e.flags = body.get<uint32_t>();
    constexpr int64_t kFarthest = int64_t{1} << 62;  // so that sums with it stay whole
    return body.ok && body.left() == 0 && e.epoch != 0 && e.fade <= kLongestFade && e.from < kFarthest && e.from > -kFarthest;
}

// The head of a PCM message; what is left in `body` then is whole chunks, each frame of which is one u64.
inline bool read_pcm(Reader& body, uint32_t& epoch, int64_t& frame) {
    epoch = body.get<uint32_t>(), frame = body.get<int64_t>();
    return body.ok && epoch != 0 && frame % kChunkFrames == 0 && body.left() > 0 && body.left() % (8 * kChunkFrames) == 0;
}

// A message at the front of `data`: its whole size, 0 if it is not all there yet, -1 if it cannot be one.
inline int64_t message_size(const uint8_t* data, size_t size) {
    if (size < 4) return 0;
    const uint32_t length = Reader(data, 4).get<uint32_t>();
    if (length < 2 || length > kLargestMessage) return -1;
    return size < 4 + size_t{length} ? 0 : 4 + int64_t{length};
}

}  // namespace resonantgen
