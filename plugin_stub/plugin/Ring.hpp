// What the two threads share: a cache of sound, the latest of something, a queue of notes. Lock-free, and without
// allocation after construction.
// Threads: each has exactly one writing and one reading thread, named at each class. Data words are stored with release
// and loaded with acquire, so that the tag or the counter that is checked after them cannot be older than they are
// (no fences, which the thread sanitizer does not see).
#pragma once
#include <array>
#include <atomic>
#include <cstring>
#include <memory>

#include "Wire.hpp"

namespace resonantgen {

// The latest value of T. Writes never wait; a read that meets a write too often gives false and leaves `value` alone.
template <class T> class Latest {
public:
    void write(const T& value) {
        Words words{};
        std::memcpy(words.data(), &value, sizeof value);
        const uint32_t count = count_.load(std::memory_order_relaxed);
        count_.store(count + 1, std::memory_order_relaxed);  // odd: being written
        for (size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_release);
        count_.store(count + 2, std::memory_order_release);
    }
    bool read(T& value, int tries = 16) const {
        static_assert(std::is_trivially_copyable_v<T>);
        for (; tries > 0; --tries) {
            Words words;
            const uint32_t count = count_.load(std::memory_order_acquire);
            for (size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_acquire);
            if (count % 2 || count_.load(std::memory_order_relaxed) != count) continue;
            std::memcpy(static_cast<void*>(&value), words.data(), sizeof value);
            return true;
        }
        return false;
    }

private:
    using Words = std::array<uint64_t, (sizeof(T) + 7) / 8>;
    std::atomic<uint32_t> count_{0};
    std::array<std::atomic<uint64_t>, (sizeof(T) + 7) / 8> words_{};
};

// Notes from the audio thread (push) to the link (pop). What does not fit is dropped.
class Notes {
public:
    void push(uint32_t note) {
        const uint32_t end = end_.load(std::memory_order_relaxed);
        if (end - begin_.load(std::memory_order_acquire) == notes_.size()) return;
        notes_[end % notes_.size()] = note;
        end_.store(end + 1, std::memory_order_release);
    }
    bool pop(uint32_t& note) {
        const uint32_t begin = begin_.load(std::memory_order_relaxed);
        if (begin == end_.load(std::memory_order_acquire)) return false;
        note = notes_[begin % notes_.size()];
        begin_.store(begin + 1, std::memory_order_release);
        return true;
    }

private:
    std::array<uint32_t, 256> notes_{};
    std::atomic<uint32_t> begin_{0}, end_{0};
};

// Sound, in chunks of 1024 stereo frames (left in the low half of a word): two banks, for the epochs of each parity.
// The link writes and clears; the audio thread reads. A chunk that is overwritten while it is read is a miss.
class Cache {
public:
    static constexpr uint32_t kSlots = 256;

    void write(uint32_t epoch, int64_t chunk, Reader& frames) {
        Slot& slot = at(epoch, chunk);
        slot.tag.store(0, std::memory_order_relaxed);
        for (auto& frame : slot.frames) frame.store(frames.get<uint64_t>(), std::memory_order_release);
        slot.tag.store(tag(epoch, chunk), std::memory_order_release);
    }
    void clear() {
        for (uint32_t i = 0; i < 2 * kSlots; ++i) slots_[i].tag.store(0, std::memory_order_relaxed);
    }
    bool has(uint32_t epoch, int64_t chunk) const {
        return at(epoch, chunk).tag.load(std::memory_order_acquire) == tag(epoch, chunk);
    }
    // Frames [offset, offset + count) of a chunk. False, and anything in left and right, if they are not there.
    bool read(uint32_t epoch, int64_t chunk, uint32_t offset, uint32_t count, float* left, float* right) const {
        const Slot& slot = at(epoch, chunk);
        if (slot.tag.load(std::memory_order_acquire) != tag(epoch, chunk)) return false;
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t frame = slot.frames[offset + i].load(std::memory_order_acquire);
            const uint32_t halves[2] = {static_cast<uint32_t>(frame), static_cast<uint32_t>(frame >> 32)};
            std::memcpy(left + i, &halves[0], 4), std::memcpy(right + i, &halves[1], 4);
        }
        return slot.tag.load(std::memory_order_relaxed) == tag(epoch, chunk);
    }
    // Never 0. Chunks are told apart over 2^32 of them: 1,000 days at 48 kHz.
    static uint64_t tag(uint32_t epoch, int64_t chunk) { return uint64_t{epoch} << 32 | static_cast<uint32_t>(chunk); }
    static uint32_t place(uint32_t epoch, int64_t chunk) {
        return epoch % 2 * kSlots + static_cast<uint32_t>(static_cast<uint64_t>(chunk) % kSlots);
    }

private:
    struct Slot {
        std::atomic<uint64_t> tag{0};
        std::array<std::atomic<uint64_t>, kChunkFrames> frames{};
    };
    Slot& at(uint32_t epoch, int64_t chunk) const { return slots_[place(epoch, chunk)]; }
    std::unique_ptr<Slot[]> slots_{new Slot[2 * kSlots]};
};

inline int64_t chunk_of(int64_t frame) {  // rounds down, also before 0
    return (frame >= 0 ? frame : frame - (kChunkFrames - 1)) / static_cast<int64_t>(kChunkFrames);
}

// An epoch as the link hands it on: `connection` is the one it was told on, `told` counts them.
struct Announcement {
    Epoch epoch;
    uint32_t connection = 0, told = 0;
};

// Everything that the threads of one plugin instance have in common.
struct Shared {
    Cache cache;                        // link -> audio
    Latest<Announcement> announcement;  // link -> audio
    std::atomic<uint32_t> connection{0};  // link -> audio; which one, 0: none
    Latest<Status> place;               // audio -> link; lock, wait, track and regenerations are not filled in
    Notes notes;                        // audio -> link
    std::atomic<uint32_t> underruns{0};  // audio -> host
    std::atomic<uint32_t> track{1}, regenerations{0};  // host -> link
    std::atomic<bool> lock{false}, wait{false};        // host -> link, audio
};

}  // namespace resonantgen
