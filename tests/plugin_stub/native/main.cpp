// Runs all tests, or those that are named: each in a child, all at once. Ends with the number of those that failed.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <new>

#include "check.hpp"

thread_local bool check::watching = false;
thread_local int check::allocations = 0;

// Not inlined: g++ would take the pair apart, and warn that malloc and delete do not match.
#define KEPT __attribute__((noinline))

static void* counted(std::size_t size) {
    if (check::watching) ++check::allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
KEPT void* operator new(std::size_t size) { return counted(size); }
KEPT void* operator new[](std::size_t size) { return counted(size); }
KEPT void operator delete(void* memory) noexcept { std::free(memory); }
KEPT void operator delete[](void* memory) noexcept { std::free(memory); }
KEPT void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
KEPT void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

int main(int count, char** names) {
    std::map<pid_t, const char*> running;
    for (const check::Test& test : check::tests()) {
        bool asked = count == 1;
        for (int i = 1; i < count; ++i) asked |= !std::strcmp(names[i], test.name);
        if (!asked) continue;
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child == 0) {
            alarm(90);  // it hangs
            test.run();
            std::exit(0);
        }
        running[child] = test.name;
    }
    int failed = 0;
    for (size_t left = running.size(); left; --left) {
        int status = 0;
        const pid_t child = wait(&status);
        const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        failed += !passed;
        std::printf("%s %s\n", passed ? "passed" : "FAILED", running[child]);
    }
    std::printf("%zu tests, %d failed\n", running.size(), failed);
    return failed || running.empty();
}
