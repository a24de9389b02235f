#include "Link.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>

namespace resonantgen {

using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kTick{4}, kStep{20}, kConnectTime{1000}, kRetry{250}, kRetryRefused{2000}, kSilence{3000};
constexpr Milliseconds kStatusPlaying{10}, kStatusIdle{200}, kAskAgain{200};
constexpr int64_t kAheadBlocks = 8, kMostAhead = (Cache::kSlots - 2) * int64_t{kChunkFrames};
constexpr size_t kFullOutput = 1 << 16;

static uint64_t random_number() {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
}

Link::Link(Shared& shared) : shared_(shared), instance_(random_number()), thread_([this] { run(); }) {}

Link::~Link() {
    quit_ = true;
    thread_.join();
}

std::pair<std::string, uint16_t> Link::address() {
    std::string line;
    if (const char* text = std::getenv("RESONANTGEN_LINK")) line = text;
#if defined(_WIN32)
    const char *home = std::getenv("APPDATA"), *file = "/resonantgen/link";
#elif defined(__APPLE__)
    const char *home = std::getenv("HOME"), *file = "/Library/Application Support/resonantgen/link";
#else
    const char *home = std::getenv("HOME"), *file = "/.config/resonantgen/link";
#endif
    if (line.empty() && home) {
        std::ifstream stream(std::string(home) + file);
        std::getline(stream, line);
    }
    line.erase(0, line.find_first_not_of(" \t\r"));
    if (line.empty()) return {"127.0.0.1", uint16_t{5590}};
    const size_t colon = line.find(':');
    const long port = colon == std::string::npos ? 0 : std::strtol(line.c_str() + colon + 1, nullptr, 10);
    return {line.substr(0, colon), static_cast<uint16_t>(port > 0 && port < 65536 ? port : 0)};
}

void Link::run() {
    while (!quit_) {
        refused_ = false;
        {
            Socket socket;
            if (open(socket)) talk(socket);
        }
        shared_.connection = 0;  // the audio thread forgets its epochs; then nothing that it had is there any more
        shared_.cache.clear();
        pause(refused_ ? kRetryRefused : kRetry);
    }
}

void Link::pause(Milliseconds time) {
    for (const auto end = Clock::now() + time; !quit_ && Clock::now() < end;) std::this_thread::sleep_for(kStep);
}

bool Link::open(Socket& socket) {
    const auto [host, port] = address();
    if (port == 0 || !socket.connect(host, port)) return false;
    for (const auto end = Clock::now() + kConnectTime; !quit_ && Clock::now() < end;)
        if (socket.poll(static_cast<int>(kStep.count()), true)) return socket.connected();
    return false;
}

void Link::talk(Socket& socket) {
    welcomed_ = false;
    in_.clear(), out_.clear();
    last_said_ = Status{}, announced_ = Epoch{};
    asked_.fill(Asked{});
    heard_ = Clock::now(), said_ = heard_ - kSilence;
    Writer(out_, kHello).put(kMagic).put(kVersion).put(instance_);
    while (!quit_ && Clock::now() - heard_ < kSilence) {
        socket.poll(static_cast<int>(kTick.count()), !out_.empty());
        if (!receive(socket)) return;
        if (welcomed_ && out_.size() < kFullOutput) say();
        if (!flush(socket)) return;
    }
}

// Takes what has come. False if the connection ended, or the other side does not keep to the page.
bool Link::receive(Socket& socket) {
    uint8_t piece[1 << 16];
    for (int rounds = 0; rounds < 16; ++rounds) {
        const int got = socket.receive(piece, sizeof piece);
        if (got == Socket::kEnded) return false;
        if (got == Socket::kLater) break;
        in_.insert(in_.end(), piece, piece + got);
    }
    size_t used = 0;
    int64_t size;
    while ((size = message_size(in_.data() + used, in_.size() - used)) > 0) {
        Reader body(in_.data() + used + 4, static_cast<size_t>(size) - 4);
        const uint16_t kind = body.get<uint16_t>();
        if (!understand(kind, body)) return false;
        heard_ = Clock::now();
        used += static_cast<size_t>(size);
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
    return size == 0;
}

bool Link::understand(uint16_t kind, Reader body) {
    if (!welcomed_) {
        refused_ = kind == kRefused;
        if (kind != kWelcome) return false;
        const uint32_t magic = body.get<uint32_t>();
        const uint16_t version = body.get<uint16_t>();
        body.get<uint64_t>();
        if (!body.ok || body.left() || magic != kMagic || version != kVersion) return false;
        shared_.connection = ++connections_;
        return welcomed_ = true;
    }
    if (kind == kState) return body.get<uint32_t>(), body.ok && body.left() == 0;
    if (kind == kPcm) return keep(body);
    if (kind != kEpoch || !read_epoch(body, announced_)) return false;
    shared_.announcement.write({announced_, connections_, ++announcements_});
    return true;
}

// Sound into the cache, if it is what was asked for last at its place: what comes late harms nothing.
bool Link::keep(Reader body) {
    uint32_t epoch;
    int64_t frame;
    if (!read_pcm(body, epoch, frame)) return false;
    for (int64_t chunk = chunk_of(frame); body.left() > 0; ++chunk) {
        Asked& asked = asked_[Cache::place(epoch, chunk)];
        Reader frames = body.take(8 * kChunkFrames);
        if (asked.tag == Cache::tag(epoch, chunk)) shared_.cache.write(epoch, chunk, frames);
    }
    return true;
}

// What there is to tell and to ask now.
void Link::say() {
    Status s = last_said_;
    shared_.place.read(s);
    s.flags = (s.flags & (kPlaying | kTold)) | (shared_.lock ? kLock : 0u) | (shared_.wait ? kWait : 0u);
    s.track = static_cast<uint16_t>(shared_.track), s.regenerations = shared_.regenerations;
    const auto now = Clock::now();
    const bool due = now - said_ >= (s.flags & kPlaying ? kStatusPlaying : kStatusIdle);
    const bool moved = !(s.flags & kPlaying) && s.frame != last_said_.frame;
    if (due || moved || !same_but_for_position(s, last_said_)) {
        write_status(out_, s);
        last_said_ = s, said_ = now;
    }
    std::vector<uint32_t> notes;
    for (uint32_t note; notes.size() < kMostNotes && shared_.notes.pop(note);) notes.push_back(note);
    if (!notes.empty()) {
        Writer writer(out_, kNotes);
        for (const uint32_t note : notes) writer.put(note);
    }
    pull(s);
}

// The epoch that plays, and the coming one from where its crossfade begins; at once if it need not wait, or if another
// start or jump may bring it in. Where a host stands, it may begin a little before: Ardour stands a block further on.
void Link::pull(const Status& place) {
    const int64_t second = static_cast<int64_t>(place.sample_rate), blocks = kAheadBlocks * int64_t{place.block};
    const int64_t to = place.frame + std::min(kMostAhead, std::max(second, blocks));
    const int64_t before = place.flags & kPlaying ? 0 : std::min<int64_t>(2 * int64_t{place.block}, std::max<int64_t>(place.frame, 0));
    const int64_t from = std::max(place.frame - before, to - kMostAhead);
    if (place.epoch != 0) pull_epoch(place.epoch, from, to);
    if (announced_.epoch == 0 || announced_.epoch == place.epoch) return;
    const bool at_once = place.epoch == 0 || !(place.flags & kPlaying) || (announced_.flags & kAtOnce);
    if (at_once) return pull_epoch(announced_.epoch, from, to);
    if (announced_.epoch % 2 == place.epoch % 2) return;  // would take the place of what plays
    pull_epoch(announced_.epoch, std::max(place.frame, announced_.from - announced_.fade), to);
}

void Link::pull_epoch(uint32_t epoch, int64_t from, int64_t to) {
    const auto now = Clock::now();
    int64_t first = 0;
    uint32_t chunks = 0;
    const auto ask = [&] {
        if (chunks) Writer(out_, kPull).put(epoch).put(first * int64_t{kChunkFrames}).put(chunks);
        chunks = 0;
    };
    for (int64_t chunk = chunk_of(from); chunk * int64_t{kChunkFrames} < to; ++chunk) {
        Asked& asked = asked_[Cache::place(epoch, chunk)];
        const uint64_t tag = Cache::tag(epoch, chunk);
        const bool waiting = asked.tag == tag && now - asked.at < kAskAgain;
        if (waiting || shared_.cache.has(epoch, chunk)) ask();
        else {
            if (!chunks) first = chunk;
            asked = {tag, now};
            if (++chunks == kMostChunks) ask();
        }
    }
    ask();
}

bool Link::flush(Socket& socket) {
    if (out_.empty()) return true;
    const int sent = socket.send(out_.data(), out_.size());
    if (sent > 0) out_.erase(out_.begin(), out_.begin() + sent);
    return sent != Socket::kEnded;
}

}  // namespace resonantgen
