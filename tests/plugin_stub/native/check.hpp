// A test program in one page: TEST(name) { CHECK(...); }. Each test runs in a process of its own, all at the same time.
#pragma once
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace check {

struct Test { const char* name; void (*run)(); };
inline std::vector<Test>& tests() { static std::vector<Test> all; return all; }
struct Registration { Registration(const char* name, void (*run)()) { tests().push_back({name, run}); } };

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
    std::fflush(stderr);
    std::_Exit(1);
}

// Waits for what another thread does; only a hang ends it.
template <class Done> void wait_for(const char* what, Done done, int seconds = 60) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) fail(what, 0, "waited in vain");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Allocations of this thread, counted while it is true (see main.cpp).
extern thread_local bool watching;
extern thread_local int allocations;

}  // namespace check

#define TEST(name) \
    static void name(); \
    static const check::Registration registration_##name(#name, name); \
    static void name()
#define CHECK(...) ((__VA_ARGS__) ? void() : check::fail(__FILE__, __LINE__, #__VA_ARGS__))
