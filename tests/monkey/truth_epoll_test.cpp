// The truth about epoll_wait and its kin.

#include "monkey/truth.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <array>
#include <csignal>

using namespace fern::truth;
using namespace std::chrono_literals;

namespace {

// An epoll set of one row.
struct EpollSet {
  explicit EpollSet(World& world) : fd(world.own(epoll_create1(0))) {}
  void add(int other, std::uint32_t events, std::uint64_t data) const {
    epoll_event event{events, {}};
    event.data.u64 = data;
    EXPECT_EQ(epoll_ctl(fd, EPOLL_CTL_ADD, other, &event), 0);
  }
  void wait(World& world, int timeout = -1, int capacity = 8) const {
    std::array<epoll_event, 8> events{};
    int got =
        world.call("epoll_wait", [&] { return epoll_wait(fd, events.data(), capacity, timeout); });
    note(world, events, got);
  }
  static void note(World& world, const std::array<epoll_event, 8>& events, int got) {
    for (int i = 0; i < got; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      world.note("event", std::to_string(event.events) + " of " + std::to_string(event.data.u64));
    }
  }
  int fd;
};

const Rows epoll_rows(
    "Epoll",
    {
        {"what is ready",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           set.add(there, EPOLLIN | EPOLLOUT, 2);
           send(there, "x", 1, 0);
           set.wait(world);
           set.wait(world, 0);
           set.wait(world, 30);
         }},
        {"waits for what becomes ready",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           auto peer = world.will_send(there, {"x"});
           set.wait(world);
         }},
        {"ends when its time is up",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           epoll_event event{};
           world.timed_call("epoll_wait", 30ms, [&] { return epoll_wait(set.fd, &event, 1, 30); });
         }},
        {"an empty set",
         [](World& world) {
           EpollSet set(world);
           epoll_event event{};
           world.timed_call("epoll_wait", 30ms, [&] { return epoll_wait(set.fd, &event, 1, 30); });
           set.wait(world, 0);
         }},
        {"what is added while it waits",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           EpollSet set(world);
           auto peer = world.when_waiting([&, here = here] { set.add(here, EPOLLIN, 1); });
           set.wait(world);
         }},
        {"an edge is told once",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN | EPOLLET, 1);
           auto peer = world.when_waiting([there, &world] {
             send(there, "x", 1, 0);
             world.until_waiting();
             send(there, "y", 1, 0);
           });
           set.wait(world);
           set.wait(world, 0);
           set.wait(world);
           set.wait(world, 0);
         }},
        {"an edge is told again after its end",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
           send(there, "x", 1, 0);
           set.wait(world);
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           set.wait(world);
           set.wait(world, 0);
         }},
        {"one shot",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN | EPOLLONESHOT, 1);
           auto peer = world.will_send(there, {"x"});
           set.wait(world);
           set.wait(world, 0);
           epoll_event again{EPOLLIN | EPOLLONESHOT, {}};
           epoll_ctl(set.fd, EPOLL_CTL_MOD, here, &again);
           set.wait(world);
         }},
        {"the peer closes",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           set.wait(world);
         }},
        {"the peer resets",
         [](World& world) {
           auto [here, there] = world.tcp();
           EpollSet set(world);
           set.add(here, 0, 1);
           auto peer = world.when_waiting([there, &world] { reset(world, there); });
           set.wait(world);
         }},
        {"what is closed is not told of",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           send(there, "x", 1, 0);
           world.close(here);
           set.wait(world, 0);
         }},
        {"room for one of two at a time",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLOUT, 1);
           set.add(there, EPOLLOUT, 2);
           set.wait(world, -1, 1);
           set.wait(world, -1, 1);
           set.wait(world, -1, 1);
         }},
        {"a set in a set",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet inner(world);
           EpollSet outer(world);
           inner.add(here, EPOLLIN, 1);
           outer.add(inner.fd, EPOLLIN, 2);
           auto peer = world.will_send(there, {"x"});
           outer.wait(world);
           inner.wait(world);
         }},
        {"a timerfd and an eventfd",
         [](World& world) {
           int timer = world.own(timerfd_create(CLOCK_MONOTONIC, 0));
           int event = world.own(eventfd(0, 0));
           EpollSet set(world);
           set.add(timer, EPOLLIN, 1);
           set.add(event, EPOLLIN, 2);
           auto peer = world.when_waiting([event] { eventfd_write(event, 1); });
           set.wait(world);
           eventfd_t value;
           eventfd_read(event, &value);
           itimerspec time{{}, {0, 20'000'000}};
           timerfd_settime(timer, 0, &time, nullptr);
           set.wait(world);
         }},
        {"room for nothing",
         [](World& world) {
           EpollSet set(world);
           epoll_event event{};
           for (int capacity : {0, -1}) {
             world.call("epoll_wait", [&] { return epoll_wait(set.fd, &event, capacity, 30); });
             world.call("epoll_wait", [&] { return epoll_wait(set.fd, &event, capacity, 0); });
           }
         }},
        {"nowhere",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLOUT, 1);
           world.call("epoll_wait", [&] { return epoll_wait(set.fd, null<epoll_event>(), 1, 30); });
           world.call("epoll_wait", [&] { return epoll_wait(set.fd, wild<epoll_event>(), 1, 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"what is no set",
         [](World& world) {
           auto [here, there] = world.pair();
           epoll_event event{};
           world.call("epoll_wait", [&, here = here] { return epoll_wait(here, &event, 1, 30); });
           world.call("epoll_wait", [&] { return epoll_wait(-1, &event, 1, 30); });
           int closed = world.closed_fd();
           world.call("epoll_wait", [&] { return epoll_wait(closed, &event, 1, -1); });
         }},
        {"epoll_pwait",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           sigset_t mask;
           sigemptyset(&mask);
           std::array<epoll_event, 8> events{};
           auto peer = world.will_send(there, {"x"});
           int got = world.call("epoll_pwait",
                                [&] { return epoll_pwait(set.fd, events.data(), 8, -1, &mask); });
           EpollSet::note(world, events, got);
         }},
        {"epoll_pwait2",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           std::array<epoll_event, 8> events{};
           timespec time{0, 30'000'000};
           world.timed_call("epoll_pwait2", 30ms,
                            [&] { return epoll_pwait2(set.fd, events.data(), 8, &time, nullptr); });
           auto peer = world.will_send(there, {"x"});
           int got = world.call("epoll_pwait2", [&] {
             return epoll_pwait2(set.fd, events.data(), 8, nullptr, nullptr);
           });
           EpollSet::note(world, events, got);
           for (timespec bad : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
             world.call("epoll_pwait2",
                        [&] { return epoll_pwait2(set.fd, events.data(), 8, &bad, nullptr); });
           }
         }},
    });

}  // namespace
