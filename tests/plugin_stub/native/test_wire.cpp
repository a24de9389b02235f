// Messages as bytes: as docs/plugin-link.md says, and nothing beyond the end of what came.
#include "Wire.hpp"

#include "check.hpp"

using namespace resonantgen;
using Bytes = std::vector<uint8_t>;

static uint64_t number(const Bytes& bytes, size_t at, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | bytes.at(at + i);
    return value;
}

static double real(const Bytes& bytes, size_t at) {
    const uint64_t bits = number(bytes, at, 8);
    double value;
    std::memcpy(&value, &bits, 8);
    return value;
}

TEST(status_has_each_field_at_its_place) {
    Status s;
    s.clock = 0x01020304, s.frame = -2, s.sample_rate = 44100, s.tempo = 97.25, s.quarters = -1.5;
    s.numerator = 7, s.denominator = 8, s.flags = kPlaying | kTold, s.track = 16;
    s.regenerations = 11, s.underruns = 12, s.epoch = 13, s.block = 14;
    Bytes out{99};
    write_status(out, s);
    out.erase(out.begin());
    CHECK(out.size() == 4 + 2 + 62 && number(out, 0, 4) == 64 && number(out, 4, 2) == 4);
    CHECK(out[6] == 4 && out[9] == 1 && static_cast<int64_t>(number(out, 10, 8)) == -2);
    CHECK(real(out, 18) == 44100 && real(out, 26) == 97.25 && real(out, 34) == -1.5);
    CHECK(number(out, 42, 2) == 7 && number(out, 44, 2) == 8 && number(out, 46, 4) == 9 && number(out, 50, 2) == 16);
    CHECK(number(out, 52, 4) == 11 && number(out, 56, 4) == 12 && number(out, 60, 4) == 13 && number(out, 64, 4) == 14);
}

static Bytes epoch_body(uint32_t epoch, int64_t from, uint32_t fade) {
    Bytes out;
    Writer(out, kEpoch).put(epoch).put(uint32_t{5}).put(from).put(fade).put(uint32_t{kAtOnce});
    return Bytes(out.begin() + 6, out.end());
}

static bool reads(const Bytes& body, Epoch& e) { return read_epoch(Reader(body.data(), body.size()), e); }

TEST(epoch_is_read_whole_or_not_at_all) {
    Epoch e;
    const Bytes good = epoch_body(3, -4096, 480);
    CHECK(reads(good, e) && e.epoch == 3 && e.clock == 5 && e.from == -4096 && e.fade == 480 && e.flags == kAtOnce);
    for (size_t size = 0; size < good.size(); ++size) CHECK(!reads(Bytes(good.begin(), good.begin() + size), e));
    Bytes longer = good;
    longer.push_back(0);
    CHECK(!reads(longer, e));
    CHECK(!reads(epoch_body(0, 0, 0), e) && !reads(epoch_body(1, 0, kLongestFade + 1), e));
    CHECK(!reads(epoch_body(1, INT64_MIN, 0), e) && !reads(epoch_body(1, INT64_MAX, 0), e));
    CHECK(reads(epoch_body(1, 0, kLongestFade), e));
}

TEST(sound_comes_in_whole_chunks) {
    for (const int64_t frame : {int64_t{-2048}, int64_t{0}, int64_t{1024}, int64_t{7}}) {
        for (const size_t bytes : {size_t{0}, size_t{8191}, size_t{8192}, size_t{8193}, size_t{16384}}) {
            Bytes out;
            Writer(out, kPcm).put(uint32_t{2}).put(frame);
            out.resize(out.size() + bytes);
            Reader body(out.data() + 6, out.size() - 6);
            uint32_t epoch;
            int64_t got;
            CHECK(read_pcm(body, epoch, got) == (frame % 1024 == 0 && bytes > 0 && bytes % 8192 == 0));
        }
    }
}

TEST(a_message_is_whole_or_awaited_or_impossible) {
    Bytes out;
    Writer(out, kState).put(uint32_t{7});
    for (size_t size = 0; size < out.size(); ++size) CHECK(message_size(out.data(), size) == 0);
    CHECK(message_size(out.data(), out.size()) == 10 && message_size(out.data(), out.size()) == int64_t(out.size()));
    for (const uint32_t length : {0u, 1u, kLargestMessage + 1, 0xFFFFFFFFu}) {
        Bytes head;
        for (int i = 0; i < 4; ++i) head.push_back(static_cast<uint8_t>(length >> (8 * i)));
        CHECK(message_size(head.data(), 4) == -1);
    }
}

// Any bytes: nothing is read beyond them (the address sanitizer sees it), and what is read is within bounds.
TEST(random_bytes_are_harmless) {
    std::mt19937 random(4);
    for (int round = 0; round < 20000; ++round) {
        Bytes bytes(random() % 64);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 4 ? 0 : random());
        bytes.shrink_to_fit();
        const int64_t size = message_size(bytes.data(), bytes.size());
        CHECK(size >= -1 && size <= static_cast<int64_t>(bytes.size()));
        Epoch e;
        if (reads(bytes, e)) CHECK(e.epoch != 0 && e.fade <= kLongestFade);
        Reader body(bytes.data(), bytes.size());
        uint32_t epoch;
        int64_t frame;
        CHECK(!read_pcm(body, epoch, frame));  // too short for sound
    }
}
