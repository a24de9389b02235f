// What the threads share: whole values, in order, under a writer that never rests.
#include "Ring.hpp"

#include "check.hpp"

using namespace resonantgen;

static uint64_t sound(uint32_t epoch, int64_t frame) { return uint64_t{epoch} * 0x9E3779B97F4A7C15u ^ static_cast<uint64_t>(frame); }

static void put(Cache& cache, uint32_t epoch, int64_t chunk) {
    std::vector<uint8_t> bytes;
    for (int64_t i = 0; i < kChunkFrames; ++i) {
        const uint64_t frame = sound(epoch, chunk * kChunkFrames + i);
        for (int b = 0; b < 8; ++b) bytes.push_back(static_cast<uint8_t>(frame >> (8 * b)));
    }
    Reader reader(bytes.data(), bytes.size());
    cache.write(epoch, chunk, reader);
}

static bool right(uint32_t epoch, int64_t frame, const float* left, const float* right_, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t halves[2];
        std::memcpy(&halves[0], left + i, 4), std::memcpy(&halves[1], right_ + i, 4);
        if ((uint64_t{halves[1]} << 32 | halves[0]) != sound(epoch, frame + i)) return false;
    }
    return true;
}

TEST(chunks_lie_on_both_sides_of_zero) {
    CHECK(chunk_of(0) == 0 && chunk_of(1023) == 0 && chunk_of(1024) == 1);
    CHECK(chunk_of(-1) == -1 && chunk_of(-1024) == -1 && chunk_of(-1025) == -2);
}

TEST(cache_gives_every_bit_or_nothing) {
    Cache cache;
    float left[kChunkFrames], right_[kChunkFrames];
    CHECK(!cache.has(1, 0) && !cache.read(1, 0, 0, 1, left, right_));
    for (const int64_t chunk : {-300, -1, 0, 5, 255}) {
        put(cache, 1, chunk), put(cache, 2, chunk);
        for (const uint32_t epoch : {1u, 2u}) {
            CHECK(cache.has(epoch, chunk) && cache.read(epoch, chunk, 3, 1021, left, right_));
            CHECK(right(epoch, chunk * kChunkFrames + 3, left, right_, 1021));
        }
    }
    CHECK(!cache.has(3, 0) && !cache.has(1, 256) && !cache.has(1, -301));
    put(cache, 3, 256);  // in the place of chunk 0 of epoch 1
    CHECK(!cache.has(1, 0) && cache.has(3, 256) && cache.has(2, 0));
    cache.clear();
    for (const uint32_t epoch : {1u, 2u, 3u}) CHECK(!cache.has(epoch, 256) && !cache.has(epoch, 0) && !cache.has(epoch, 5));
}

TEST(torn_chunks_are_misses) {
    Cache cache;
    std::atomic<bool> quit{false};
    std::vector<uint8_t> ones(8 * kChunkFrames, 1), twos(8 * kChunkFrames, 2);
    std::atomic<uint32_t> now{1};
    std::thread writer([&] {
        for (uint32_t i = 0; !quit; ++i) {
            Reader frames((i % 2 ? ones : twos).data(), ones.size());
            cache.write(2 * i + 1, 0, frames);  // in the same place; epochs never come again
            now = 2 * i + 1;
        }
    });
    float left[kChunkFrames], right_[kChunkFrames], one, two;
    std::memset(&one, 1, 4), std::memset(&two, 2, 4);
    for (int met = 0; met < 200;) {  // times that it was whole when the read began
        const uint32_t epoch = now;
        const bool is_one = epoch / 2 % 2;
        if (!cache.has(epoch, 0)) continue;
        ++met;
        if (!cache.read(epoch, 0, 0, kChunkFrames, left, right_)) continue;
        for (uint32_t i = 0; i < kChunkFrames; ++i) CHECK(left[i] == (is_one ? one : two) && right_[i] == left[i]);
    }
    quit = true;
    writer.join();
}

TEST(latest_is_whole_and_never_older) {
    struct Value { uint64_t a, b, c; uint32_t d; };
    Latest<Value> latest;
    std::atomic<bool> quit{false};
    std::thread writer([&] {
        for (uint64_t i = 1; !quit; ++i) latest.write({i, i * 3, ~i, static_cast<uint32_t>(i)});
    });
    uint64_t last = 0;
    check::wait_for("values", [&] {
        Value value{};
        if (!latest.read(value) || value.a == 0) return false;
        CHECK(value.a >= last && value.b == value.a * 3 && value.c == ~value.a && value.d == static_cast<uint32_t>(value.a));
        return (last = value.a) > 5000;
    });
    quit = true;
    writer.join();
}

TEST(notes_come_in_order_and_the_rest_is_dropped) {
    Notes notes;
    uint32_t note;
    CHECK(!notes.pop(note));
    for (uint32_t i = 0; i < 1000; ++i) notes.push(i);
    for (uint32_t i = 0; i < 256; ++i) CHECK(notes.pop(note) && note == i);
    CHECK(!notes.pop(note));
    constexpr uint32_t kCount = 20000;
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (uint32_t i = 1; i <= kCount; ++i) notes.push(i);
        done = true;
    });
    uint32_t last = 0, got = 0;
    for (bool ended = false; !ended;) {
        ended = done;
        for (; notes.pop(note); last = note, ++got) CHECK(note > last && note <= kCount);
    }
    writer.join();
    CHECK(got >= 256);
}
