// The truth about select and pselect.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <sys/select.h>

#include <algorithm>
#include <array>
#include <memory>

using namespace fern::truth;
using namespace std::chrono_literals;

namespace {

struct SetOf {
  SetOf(std::initializer_list<int> fds) {
    FD_ZERO(&set);
    for (int fd : fds) FD_SET(fd, &set);
  }
  fd_set set;
};

// A row's descriptors by name, since their numbers differ.
void note_set(World& world, const char* what, const fd_set& set, std::initializer_list<int> fds) {
  std::string members;
  for (int fd : fds) members += FD_ISSET(fd, &set) ? "1" : "0";
  world.note(what, members);
}

const Rows select_rows(
    "Select",
    {
        {"what is ready",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           SetOf in{here, there};
           SetOf out{here, there};
           SetOf odd{here, there};
           world.call("select", [&] {
             return select(std::max(here, there) + 1, &in.set, &out.set, &odd.set, nullptr);
           });
           note_set(world, "in", in.set, {here, there});
           note_set(world, "out", out.set, {here, there});
           note_set(world, "odd", odd.set, {here, there});
         }},
        {"waits for what becomes ready",
         [](World& world) {
           auto [here, there] = world.pair();
           auto [other, unused] = world.pair();
           auto peer = world.will_send(there, {"x"});
           SetOf in{here, other};
           SetOf odd{here, other};
           world.call("select",
                      [&] { return select(FD_SETSIZE, &in.set, nullptr, &odd.set, nullptr); });
           note_set(world, "in", in.set, {here, other});
           note_set(world, "odd", odd.set, {here, other});
         }},
        {"waits for room",
         [](World& world) {
           auto [out, in] = world.pipe();
           std::size_t before = fill(in);
           auto peer = world.when_waiting([out, before] { read_all(out, before); });
           SetOf set{in};
           world.call("select",
                      [&] { return select(in + 1, nullptr, &set.set, nullptr, nullptr); });
           note_set(world, "out", set.set, {in});
         }},
        {"waits for what is urgent",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "x", 1, MSG_OOB); });
           SetOf set{here};
           world.call("select",
                      [&] { return select(here + 1, nullptr, nullptr, &set.set, nullptr); });
           note_set(world, "odd", set.set, {here});
         }},
        {"ends when its time is up, and clears its sets",
         [](World& world) {
           auto [here, there] = world.pair();
           SetOf in{here, there};
           timeval time{0, 30'000};
           world.timed_call("select", 30ms,
                            [&] { return select(FD_SETSIZE, &in.set, nullptr, nullptr, &time); });
           note_set(world, "in", in.set, {here, there});
           world.note("time", time.tv_sec + time.tv_usec);
         }},
        {"says how much time is left",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           SetOf in{here};
           timeval time{60, 0};
           world.call("select", [&] { return select(here + 1, &in.set, nullptr, nullptr, &time); });
           world.note("less", time.tv_sec < 60 && time.tv_sec > 0);
         }},
        {"says how much time is left when it did not wait",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           SetOf in{here};
           timeval time{60, 0};
           world.call("select", [&] { return select(here + 1, &in.set, nullptr, nullptr, &time); });
           world.note("some", time.tv_sec > 0);
         }},
        {"with no time",
         [](World& world) {
           auto [here, there] = world.pair();
           SetOf in{here};
           SetOf out{here};
           timeval time{};
           world.call("select", [&] { return select(here + 1, &in.set, nullptr, nullptr, &time); });
           note_set(world, "in", in.set, {here});
           in = {here};
           world.call("select",
                      [&] { return select(here + 1, &in.set, &out.set, nullptr, &time); });
           note_set(world, "in", in.set, {here});
           note_set(world, "out", out.set, {here});
         }},
        {"nothing is a sleep",
         [](World& world) {
           timeval time{0, 30'000};
           world.timed_call("select", 30ms,
                            [&] { return select(0, nullptr, nullptr, nullptr, &time); });
           world.note("time", time.tv_usec);
         }},
        {"more microseconds than a second has",
         [](World& world) {
           timeval time{0, 1'030'000};
           world.timed_call("select", 1030ms,
                            [&] { return select(0, nullptr, nullptr, nullptr, &time); });
         }},
        {"a time below nothing",
         [](World& world) {
           for (timeval time : {timeval{-1, 0}, timeval{0, -1}, timeval{1, -1}}) {
             world.call("select", [&] { return select(0, nullptr, nullptr, nullptr, &time); });
           }
         }},
        {"less than no descriptors",
         [](World& world) {
           timeval time{};
           world.call("select", [&] { return select(-1, nullptr, nullptr, nullptr, &time); });
         }},
        {"a closed descriptor leaves the sets",
         [](World& world) {
           auto [here, there] = world.pair();
           int closed = world.closed_fd();
           SetOf in{here, closed};
           world.call("select",
                      [&] { return select(FD_SETSIZE, &in.set, nullptr, nullptr, nullptr); });
           note_set(world, "in", in.set, {here, closed});
         }},
        {"a closed descriptor beyond the count does not matter",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           int closed = world.closed_fd();
           SetOf in{here, closed};
           world.call("select",
                      [&] { return select(here + 1, &in.set, nullptr, nullptr, nullptr); });
           note_set(world, "in", in.set, {here});
         }},
        {"regular files are always ready",
         [](World& world) {
           int fd = world.own(open("/proc/self/exe", O_RDONLY));
           SetOf in{fd};
           SetOf out{fd};
           SetOf odd{fd};
           world.call("select",
                      [&] { return select(fd + 1, &in.set, &out.set, &odd.set, nullptr); });
           note_set(world, "in", in.set, {fd});
           note_set(world, "out", out.set, {fd});
           note_set(world, "odd", odd.set, {fd});
         }},
        {"the peer closes",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([&world, there] { world.close(there); });
           SetOf in{here};
           world.call("select",
                      [&] { return select(here + 1, &in.set, nullptr, nullptr, nullptr); });
           note_set(world, "in", in.set, {here});
         }},
        {"a pipe's reader closes",
         [](World& world) {
           auto [out, in] = world.pipe();
           fill(in);
           auto peer = world.when_waiting([&world, out] { world.close(out); });
           SetOf set{in};
           SetOf odd{in};
           world.call("select",
                      [&] { return select(in + 1, nullptr, &set.set, &odd.set, nullptr); });
           note_set(world, "out", set.set, {in});
           note_set(world, "odd", odd.set, {in});
         }},
        {"a descriptor of a thousand and more",
         [](World& world) {
           auto [here, there] = world.pair();
           int high = world.own(fcntl(here, F_DUPFD, 1500));
           if (high < 0) return;
           constexpr std::size_t words = 4096 / 64;
           std::array<unsigned long, words> set{};
           auto bit = static_cast<std::size_t>(high);
           set[bit / 64] |= 1UL << bit % 64;
           auto peer = world.will_send(there, {"x"});
           world.call("select", [&] {
             return select(high + 1, reinterpret_cast<fd_set*>(set.data()), nullptr, nullptr,
                           nullptr);
           });
           world.note("set", set[bit / 64] >> bit % 64 & 1);
         }},
        {"more descriptors than there can be",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           constexpr std::size_t words = 1 << 16;
           auto set = std::make_unique<std::array<unsigned long, words>>();
           (*set)[static_cast<std::size_t>(here) / 64] |= 1UL << here % 64;
           world.call("select", [&] {
             return select(words * 64, reinterpret_cast<fd_set*>(set->data()), nullptr, nullptr,
                           nullptr);
           });
         }},
        {"pselect waits, and leaves its time",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           SetOf in{here};
           timespec time{60, 0};
           world.call("pselect",
                      [&] { return pselect(here + 1, &in.set, nullptr, nullptr, &time, nullptr); });
           note_set(world, "in", in.set, {here});
           world.note("time", time.tv_sec);
         }},
        {"pselect ends when its time is up",
         [](World& world) {
           auto [here, there] = world.pair();
           SetOf in{here};
           timespec time{0, 30'000'000};
           world.timed_call("pselect", 30ms, [&] {
             return pselect(here + 1, &in.set, nullptr, nullptr, &time, nullptr);
           });
           note_set(world, "in", in.set, {here});
         }},
        {"pselect of what is no time",
         [](World& world) {
           for (timespec time : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
             world.call("pselect",
                        [&] { return pselect(0, nullptr, nullptr, nullptr, &time, nullptr); });
           }
         }},
    });

}  // namespace
