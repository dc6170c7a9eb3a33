#pragma once

// Where green threads run: the hub of main's thread, or with several hubs each in turn.

#include <pthread.h>

#include <cstdint>

namespace fern::core {
class Hub;
}

namespace fern::monkey {

struct Thread;

// Called, where set, when the first green thread is about to be made.
extern void (*before_first_thread)();

// spawns_green() asks whether a thread that the caller makes is to be green: not in a native scope,
// nor from a thread of the library's own, nor where it begins in libgomp.
bool spawns_green(void* (*start)(void*)) noexcept;

// start_somewhere() starts the thread's greenlet, which calls body; false when memory is out.
bool start_somewhere(Thread& thread, void (*body)(Thread*) noexcept);

// first_hub() is main's, null before there is one; main_thread() the thread that it runs in, which
// takes the signals.
core::Hub* first_hub() noexcept;
pthread_t main_thread() noexcept;

// main_exits() is pthread_exit of main: the process goes on until no other thread is left.
[[noreturn]] void main_exits();

// several_hubs() asks whether there is more than main's.
bool several_hubs() noexcept;

// use_hubs() says how many, before the first green thread.
void use_hubs(unsigned count) noexcept;

// all_switches() adds up what the hubs have switched so far, roughly.
std::uint64_t all_switches() noexcept;

}  // namespace fern::monkey
