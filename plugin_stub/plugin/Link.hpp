// The network thread: keeps a connection to the engine, tells it where the host is, and fills the cache.
// Threads: the constructor starts the thread and the destructor ends it (within about 300 ms); all between belongs to
// that thread. It meets the audio thread only in `Shared`, and may wait and allocate.
#pragma once
#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "Ring.hpp"
#include "Socket.hpp"

namespace resonantgen {

class Link {
public:
    explicit Link(Shared& shared);
    ~Link();
    // Host and port from RESONANTGEN_LINK, else from the file, else 127.0.0.1:5590. Port 0: what is there is no address.
    static std::pair<std::string, uint16_t> address();

private:
    using Clock = std::chrono::steady_clock;
    struct Asked { uint64_t tag = 0; Clock::time_point at; };

    void run();
    bool open(Socket& socket);
    void talk(Socket& socket);
    bool receive(Socket& socket);
    bool understand(uint16_t kind, Reader body);
    bool keep(Reader body);
    void say();
    void pull(const Status& place);
    void pull_epoch(uint32_t epoch, int64_t from, int64_t to);
    bool flush(Socket& socket);
    void pause(std::chrono::milliseconds time);

    Shared& shared_;
    const uint64_t instance_;
    uint32_t connections_ = 0, announcements_ = 0;
    // Of the connection at hand:
    bool welcomed_ = false, refused_ = false;
    std::vector<uint8_t> in_, out_;
    Clock::time_point heard_, said_;
    Status last_said_;
    Epoch announced_;
    std::array<Asked, 2 * Cache::kSlots> asked_;
    std::atomic<bool> quit_{false};
    std::thread thread_;  // last: everything else is there when it starts
};

}  // namespace resonantgen
