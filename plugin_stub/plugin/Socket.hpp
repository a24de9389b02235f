// A TCP connection that never blocks, on POSIX and on Windows; numeric IPv4 addresses only.
// Threads: an object belongs to the thread that made it.
#pragma once
#include <cstdint>
#include <string>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

namespace resonantgen {

class Socket {
public:
    enum : int { kLater = 0, kEnded = -1 };

#ifdef _WIN32
    Socket() { WSADATA data; WSAStartup(MAKEWORD(2, 2), &data); }
    ~Socket() { close(); WSACleanup(); }
#else
    Socket() = default;
    ~Socket() { close(); }
#endif
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    // Begins to connect; `connected` says when that is done. False if it cannot even begin.
    bool connect(const std::string& host, uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
        socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
        if (socket_ == kNone) return false;
        const int on = 1;
        setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<const char*>(&on), sizeof on);
#ifdef _WIN32
        u_long yes = 1;
        ioctlsocket(socket_, FIONBIO, &yes);
        const int begun = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
        return begun == 0 || WSAGetLastError() == WSAEWOULDBLOCK;
#else
        fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
        fcntl(socket_, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
        setsockopt(socket_, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
        const int begun = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
        return begun == 0 || errno == EINPROGRESS;
#endif
    }

    // Waits until there is something to read, or (if asked) room to write. False when the time is over.
    bool poll(int milliseconds, bool to_write) {
        pollfd p{};
        p.fd = socket_;
        p.events = static_cast<short>(POLLIN | (to_write ? POLLOUT : 0));
#ifdef _WIN32
        return WSAPoll(&p, 1, milliseconds) > 0;
#else
        return ::poll(&p, 1, milliseconds) > 0;
#endif
    }

    bool connected() {  // after `poll` for writing gave true
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(socket_, SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&error), &size);
        return error == 0;
    }

    // Bytes that went, kLater or kEnded.
    int send(const uint8_t* data, size_t size) {
        return outcome(::send(socket_, reinterpret_cast<const char*>(data), size, kNoSignal), kLater);
    }
    int receive(uint8_t* data, size_t size) {
        const auto got = ::recv(socket_, reinterpret_cast<char*>(data), size, 0);
        return outcome(got, kEnded);
    }

private:
#ifdef _WIN32
    using Handle = SOCKET;
    static constexpr Handle kNone = INVALID_SOCKET;
    static bool again() { return WSAGetLastError() == WSAEWOULDBLOCK; }
    void close() { if (socket_ != kNone) closesocket(socket_); }
#else
    using Handle = int;
    static constexpr Handle kNone = -1;
    static bool again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }
    void close() { if (socket_ != kNone) ::close(socket_); }
#endif
#ifdef MSG_NOSIGNAL
    static constexpr int kNoSignal = MSG_NOSIGNAL;
#else
    static constexpr int kNoSignal = 0;
#endif
    template <class N> static int outcome(N done, int nothing) {
        if (done > 0) return static_cast<int>(done);
        return done == 0 ? nothing : again() ? kLater : kEnded;
    }
    Handle socket_ = kNone;
};

}  // namespace resonantgen
