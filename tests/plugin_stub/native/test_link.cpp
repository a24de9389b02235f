// The network thread against a scripted engine: what it says, what it asks for, and how it takes nonsense.
#include "Link.hpp"

#include <set>

#include "check.hpp"

using namespace resonantgen;
using Bytes = std::vector<uint8_t>;

static uint64_t number(const Bytes& bytes, size_t at, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | bytes.at(at + i);
    return value;
}

// Accepts one connection at a time, and reads its messages: the kind, then the body.
struct Engine {
    int listening = ::socket(AF_INET, SOCK_STREAM, 0), socket = -1;
    std::string address;
    Bytes in;

    Engine() {
        sockaddr_in at{};
        at.sin_family = AF_INET, at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        CHECK(bind(listening, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(listening, 4) == 0);
        CHECK(getsockname(listening, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
        setenv("RESONANTGEN_LINK", address.c_str(), 1);
    }
    ~Engine() { hang_up(), close(listening); }
    void hang_up() {
        if (socket >= 0) close(socket);
        socket = -1;
    }
    void accept() {
        hang_up(), in.clear();
        CHECK((socket = ::accept(listening, nullptr, nullptr)) >= 0);
    }
    bool read(Bytes& message) {  // false: the connection has ended
        int64_t size;
        while ((size = message_size(in.data(), in.size())) == 0) {
            uint8_t piece[4096];
            const ssize_t got = recv(socket, piece, sizeof piece, 0);
            if (got <= 0) return false;
            in.insert(in.end(), piece, piece + got);
        }
        CHECK(size > 0);
        message.assign(in.begin() + 4, in.begin() + size);
        in.erase(in.begin(), in.begin() + size);
        return true;
    }
    Bytes next(uint16_t kind) {  // of that kind, past others
        for (Bytes message; read(message);)
            if (number(message, 0, 2) == kind) return message;
        check::fail(__FILE__, __LINE__, "the connection ended before a message of kind " + std::to_string(kind));
    }
    void ended() { for (Bytes message; read(message);) {} }
    void send(const Bytes& bytes) { CHECK(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    void welcome() {
        accept();
        const Bytes hello = next(kHello);
        CHECK(hello.size() == 16 && std::memcmp(&hello[2], "RGPL", 4) == 0 && number(hello, 6, 2) == 1);
        send(welcoming());
    }
    static Bytes welcoming(uint16_t version = 1) {
        Bytes out;
        Writer(out, kWelcome).put(kMagic).put(version).put(uint64_t{42});
        return out;
    }
    void announce(uint32_t epoch, int64_t from, uint32_t fade, uint32_t flags) {
        Bytes out;
        Writer(out, kEpoch).put(epoch).put(uint32_t{1}).put(from).put(fade).put(flags);
        send(out);
    }
    static Bytes pcm(uint32_t epoch, int64_t frame, uint32_t chunks) {
        Bytes out;
        Writer writer(out, kPcm);
        writer.put(epoch).put(frame);
        for (uint32_t i = 0; i < chunks * kChunkFrames; ++i) writer.put(static_cast<uint64_t>(frame + i));
        return out;
    }
};

struct Asked { uint32_t epoch; int64_t frame; uint32_t chunks; };
static Asked asked(const Bytes& pull) {
    CHECK(pull.size() == 18);
    return {static_cast<uint32_t>(number(pull, 2, 4)), static_cast<int64_t>(number(pull, 6, 8)), static_cast<uint32_t>(number(pull, 14, 4))};
}

static void place(Shared& shared, int64_t frame, uint32_t epoch = 0, uint32_t flags = kPlaying | kTold) {
    Status s;
    s.clock = 1, s.frame = frame, s.sample_rate = 48000, s.tempo = 120, s.flags = flags, s.epoch = epoch, s.block = 512;
    shared.place.write(s);
}

// All chunks that are asked for, until `last` is among them.
static std::set<int64_t> pulled_until(Engine& engine, uint32_t epoch, int64_t last) {
    std::set<int64_t> chunks;
    while (!chunks.count(last)) {
        const Asked pull = asked(engine.next(kPull));
        CHECK(pull.frame % kChunkFrames == 0 && pull.chunks >= 1 && pull.chunks <= kMostChunks);
        for (uint32_t i = 0; i < pull.chunks; ++i)
            if (pull.epoch == epoch) chunks.insert(chunk_of(pull.frame) + i);
    }
    return chunks;
}

TEST(it_tells_the_place_the_switches_and_the_notes) {
    Engine engine;
    Shared shared;
    place(shared, -100);
    shared.track = 3;
    Link link(shared);
    engine.welcome();
    Bytes status = engine.next(kStatus);
    CHECK(status.size() == 64 && static_cast<int64_t>(number(status, 6, 8)) == -100 && number(status, 42, 4) == (kPlaying | kTold));
    CHECK(number(status, 46, 2) == 3 && number(status, 2, 4) == 1);
    shared.lock = shared.wait = true, ++shared.regenerations;
    do status = engine.next(kStatus);
    while (number(status, 42, 4) != (kPlaying | kTold | kLock | kWait) || number(status, 48, 4) != 1);
    for (uint32_t note = 0; note < 100; ++note) shared.notes.push(0x90 | note << 8 | 0x640000);
    for (uint32_t note = 0; note < 100;) {
        const Bytes notes = engine.next(kNotes);
        CHECK(notes.size() > 2 && notes.size() <= 2 + 64 * 4 && notes.size() % 4 == 2);
        for (size_t at = 2; at < notes.size(); at += 4, ++note)
            CHECK(notes[at] == 0x90 && notes[at + 1] == note && notes[at + 2] == 0x64 && notes[at + 3] == 0);
    }
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) engine.next(kStatus);
    CHECK(check::seconds_since(start) < 20);  // it keeps talking: at rest, 20 take 4 s
}

TEST(a_second_ahead_is_asked_for_and_again_what_did_not_come) {
    Engine engine;
    Shared shared;
    place(shared, -1500);
    Link link(shared);
    engine.welcome();
    engine.announce(1, 0, 480, 0);
    std::set<int64_t> chunks = pulled_until(engine, 1, 45);
    CHECK(*chunks.begin() == -2 && *chunks.rbegin() == 45 && chunks.size() == 48);  // -1500 to 46,500
    engine.send(Engine::pcm(1, -2048, 40));  // 8 are left out
    check::wait_for("sound", [&] { return shared.cache.has(1, 37); });
    for (int64_t chunk = -2; chunk <= 37; ++chunk) CHECK(shared.cache.has(1, chunk));
    float left[kChunkFrames], right[kChunkFrames];
    CHECK(shared.cache.read(1, 2, 5, 1, left, right));
    uint32_t bits;
    CHECK(std::memcpy(&bits, left, 4) && bits == 2 * 1024 + 5);
    const std::set<int64_t> again = pulled_until(engine, 1, 45);  // all had been asked for once
    for (int64_t chunk = 38; chunk <= 45; ++chunk) CHECK(again.count(chunk));
    Announcement heard;
    CHECK(shared.announcement.read(heard) && heard.epoch.epoch == 1 && heard.epoch.fade == 480 && heard.connection == shared.connection);
    place(shared, 1000000, 1);  // a jump: from the new place
    chunks = pulled_until(engine, 1, chunk_of(1000000 + 47999));
    CHECK(chunks.count(chunk_of(1000000)));
}

TEST(the_coming_epoch_is_asked_for_from_its_crossfade_on) {
    Engine engine;
    Shared shared;
    place(shared, 0, 1);
    Link link(shared);
    engine.welcome();
    engine.announce(2, 40000, 2000, 0);
    std::set<int64_t> chunks = pulled_until(engine, 2, 46);
    CHECK(*chunks.begin() == chunk_of(38000));
    engine.announce(3, 90000, 480, 0);  // of the parity of what plays: would take its place
    engine.announce(4, 90000, 480, kAtOnce);
    for (Asked pull{}; pull.epoch != 4;) {
        pull = asked(engine.next(kPull));
        CHECK(pull.epoch != 3);
    }
    place(shared, 0, 1, kTold);  // it stands still
    engine.announce(5, 90000, 480, 0);
    CHECK(*pulled_until(engine, 5, 46).begin() == 0);
}

TEST(where_a_host_stands_it_may_start_two_blocks_before) {
    Engine engine;
    Shared shared;
    Status s;
    s.clock = 1, s.frame = 100000, s.sample_rate = 48000, s.flags = kTold, s.epoch = 1, s.block = 4096;
    shared.place.write(s);
    Link link(shared);
    engine.welcome();
    CHECK(*pulled_until(engine, 1, chunk_of(100000 + 47999)).begin() == chunk_of(100000 - 8192));
}

TEST(large_blocks_and_high_rates_stay_within_the_cache) {
    Engine engine;
    Shared shared;
    Status s;
    s.clock = 1, s.frame = 512, s.sample_rate = 192000, s.flags = kPlaying | kTold, s.epoch = 1, s.block = 65536;
    shared.place.write(s);
    Link link(shared);
    engine.welcome();
    std::set<int64_t> chunks = pulled_until(engine, 1, 254);
    CHECK(chunks.size() == 255 && *chunks.rbegin() == 254);
}

TEST(sound_that_was_not_asked_for_is_not_kept) {
    Engine engine;
    Shared shared;
    place(shared, 0, 1);
    Link link(shared);
    engine.welcome();
    pulled_until(engine, 1, 46);
    engine.send(Engine::pcm(3, 0, 8));            // of an epoch that is gone
    engine.send(Engine::pcm(1, 256 * 1024, 8));   // of another place, in the same slots
    engine.send(Engine::pcm(1, 0, 1));
    check::wait_for("sound", [&] { return shared.cache.has(1, 0); });
    for (int64_t chunk = 1; chunk < 8; ++chunk) CHECK(!shared.cache.has(3, chunk) && !shared.cache.has(1, 256 + chunk));
}

static Bytes raw(uint32_t length, uint16_t kind, size_t body) {
    Bytes out;
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<uint8_t>(length >> (8 * i)));
    out.push_back(static_cast<uint8_t>(kind)), out.push_back(static_cast<uint8_t>(kind >> 8));
    out.resize(out.size() + body);
    return out;
}

// Each is answered by the end of the connection, and by another one; then the next is tried.
static void drops(const std::vector<Bytes>& nonsense, bool greeted) {
    Engine engine;
    Shared shared;
    place(shared, 0, 1);
    Link link(shared);
    for (const Bytes& bytes : nonsense) {
        if (greeted) {
            engine.welcome();
            pulled_until(engine, 1, 0);
            engine.send(Engine::pcm(1, 0, 1));
            check::wait_for("sound", [&] { return shared.connection != 0 && shared.cache.has(1, 0); });
        } else {
            engine.accept();
            engine.next(kHello);
        }
        engine.send(bytes);
        engine.ended();
        check::wait_for("nothing kept", [&] { return shared.connection == 0 && !shared.cache.has(1, 0); });
    }
    engine.welcome();
    check::wait_for("another connection", [&] { return shared.connection != 0; });
}

TEST(nonsense_ends_a_connection) {
    Bytes half = Engine::pcm(1, 0, 1);
    half.erase(half.begin() + 4 + 2 + 12 + 100, half.begin() + 4 + 2 + 12 + 108);
    half[0] = static_cast<uint8_t>(half[0] - 8);  // one frame less
    drops({raw(0, 0, 0), raw(1, 0, 0), raw(kLargestMessage + 1, kPcm, 0), raw(0xFFFFFFFF, kPcm, 100), raw(2, 0, 0), raw(2, 99, 0),
           raw(2 + 24, kEpoch, 24), raw(5, kEpoch, 3), half}, true);
}
TEST(nonsense_of_other_kinds_ends_a_connection) {
    drops({Engine::pcm(1, 7, 1), raw(2 + 12, kPcm, 12), raw(2, kState, 0), raw(7, kState, 5), Engine::welcoming(), raw(2 + 14, kHello, 14),
           raw(2 + 4, kNotes, 4)}, true);
}
TEST(nonsense_instead_of_a_welcome_ends_a_connection) {
    Bytes magic = Engine::welcoming(), longer = Engine::welcoming();
    magic[6] = 'X', longer[0] += 1, longer.push_back(0);
    drops({Engine::welcoming(2), magic, longer, Engine::pcm(1, 0, 1), raw(6, kState, 4), Bytes(64, 'G')}, false);
}
TEST(random_bytes_end_a_connection_or_are_waited_out) {
    std::mt19937 random(8);
    std::vector<Bytes> all;
    for (int i = 0; i < 6; ++i) {
        Bytes bytes(500 + random() % 5000);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        bytes[3] |= 1;  // a size beyond all bounds; a smaller one would be waited for
        all.push_back(bytes);
    }
    drops(all, true);
}

TEST(a_welcome_may_come_a_byte_at_a_time) {
    Engine engine;
    Shared shared;
    place(shared, 0);
    Link link(shared);
    engine.accept();
    for (const uint8_t byte : Engine::welcoming()) {
        CHECK(shared.connection == 0);
        engine.send({byte});
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    engine.next(kStatus);
    CHECK(shared.connection == 1);
}

TEST(an_engine_that_says_nothing_is_left_after_three_seconds) {
    Engine engine;
    Shared shared;
    place(shared, 0);
    Link link(shared);
    engine.welcome();
    const auto start = std::chrono::steady_clock::now();
    engine.ended();
    CHECK(check::seconds_since(start) > 2.5);
    engine.welcome();
}

TEST(refused_plugins_come_again_after_two_seconds) {
    Engine engine;
    Shared shared;
    place(shared, 0);
    Link link(shared);
    engine.accept();
    engine.send(raw(2 + 6, kRefused, 6));
    engine.ended();
    const auto start = std::chrono::steady_clock::now();
    engine.welcome();
    CHECK(check::seconds_since(start) > 1.8);
}

TEST(an_engine_that_is_cut_off_kills_nobody) {
    Engine engine;
    Shared shared;
    place(shared, 0, 1);
    Link link(shared);
    for (int i = 0; i < 4; ++i) {
        engine.welcome();
        const linger cut{1, 0};
        setsockopt(engine.socket, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);  // a reset, while it writes
        if (i % 2) engine.next(kStatus);
        engine.hang_up();
    }
    engine.welcome();
}

TEST(it_ends_soon_wherever_it_is) {
    Shared shared;
    place(shared, 0);
    const auto start = std::chrono::steady_clock::now();
    for (const char* address : {"127.0.0.1:1", "", "no address", "127.0.0.1:99999", ":", "10.255.255.1:5590"}) {
        setenv("RESONANTGEN_LINK", address, 1);
        setenv("HOME", "/nonexistent", 1);
        Link link(shared);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    Engine engine;
    { Link link(shared); }
    { Link link(shared); engine.accept(); }
    { Link link(shared); engine.accept(), engine.welcome(); }
    { Link link(shared); engine.welcome(), engine.next(kStatus), engine.send(raw(2, 0, 0)), engine.ended(); }
    CHECK(check::seconds_since(start) < 30);  // a hang would be seconds for each
}

TEST(the_address_is_told_by_the_environment_or_a_file) {
    const std::string home = "/tmp/resonantgen-link-" + std::to_string(getpid()), folder = home + "/.config/resonantgen";
    CHECK(std::system(("mkdir -p " + folder).c_str()) == 0);
    setenv("HOME", home.c_str(), 1);
    const auto written = [&](const char* line) {
        std::FILE* file = std::fopen((folder + "/link").c_str(), "w");
        std::fputs(line, file), std::fclose(file);
        return Link::address();
    };
    using Address = std::pair<std::string, uint16_t>;
    unsetenv("RESONANTGEN_LINK");
    CHECK(Link::address() == Address("127.0.0.1", 5590));
    CHECK(written("127.0.0.1:6001\n") == Address("127.0.0.1", 6001));
    CHECK(written("  10.0.0.2:6002\r\n") == Address("10.0.0.2", 6002));
    CHECK(written("") == Address("127.0.0.1", 5590));
    for (const char* bad : {"5590", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"}) CHECK(written(bad).second == 0);
    setenv("RESONANTGEN_LINK", "127.0.0.1:6003", 1);
    CHECK(written("127.0.0.1:6001\n") == Address("127.0.0.1", 6003));
    CHECK(std::system(("rm -r " + home).c_str()) == 0);
}
