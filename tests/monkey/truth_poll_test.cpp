// The truth about poll and ppoll.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include <array>
#include <csignal>
#include <vector>

using namespace fern::truth;
using namespace std::chrono_literals;

namespace {

// The descriptors that a row polls, and how what came of it is noted.
struct Polled {
  std::vector<pollfd> fds;
  void note(World& world) const {
    std::string all;
    for (const pollfd& fd : fds) all += std::to_string(fd.revents) + " ";
    world.note("revents", all);
  }
};

void poll_once(World& world, Polled polled, int timeout = -1) {
  for (pollfd& fd : polled.fds) fd.revents = 0x55;
  world.call("poll", [&] { return poll(polled.fds.data(), polled.fds.size(), timeout); });
  polled.note(world);
}

constexpr short all_events =
    POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;

const Rows poll_rows(
    "Poll",
    {
        {"what is ready",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           poll_once(world, {{{here, POLLIN, 0}}});
           poll_once(world, {{{here, all_events, 0}}});
           poll_once(world, {{{here, 0, 0}}}, 0);
           poll_once(world, {{{here, POLLPRI, 0}}}, 0);
         }},
        {"waits for what becomes ready",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           poll_once(world, {{{here, POLLIN, 0}}});
         }},
        {"waits for one of several",
         [](World& world) {
           auto [here, there] = world.pair();
           auto [out, in] = world.pipe();
           auto peer = world.when_waiting([in] { (void)!write(in, "x", 1); });
           poll_once(world, {{{here, POLLIN, 0}, {out, POLLIN, 0}, {here, POLLPRI, 0}}});
         }},
        {"ends when its time is up",
         [](World& world) {
           auto [here, there] = world.pair();
           pollfd fd{here, POLLIN, 7};
           world.timed_call("poll", 30ms, [&] { return poll(&fd, 1, 30); });
           world.note("revents", fd.revents);
         }},
        {"waits a moment for nothing",
         [](World& world) { world.timed_call("poll", 30ms, [] { return poll(nullptr, 0, 30); }); }},
        {"does not wait with no time",
         [](World& world) {
           auto [here, there] = world.pair();
           poll_once(world, {{{here, POLLIN, 0}}}, 0);
           poll_once(world, {{{here, POLLIN | POLLOUT, 0}}}, 0);
         }},
        {"any time below nothing is for ever",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           poll_once(world, {{{here, POLLIN, 0}}}, -77);
         }},
        {"descriptors below nothing are left out",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           poll_once(world, {{{-1, POLLIN, 0}, {here, POLLIN, 0}, {-77, all_events, 0}}});
         }},
        {"waits with descriptors that are left out",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           poll_once(world, {{{-1, POLLIN, 0}, {here, POLLIN, 0}, {-77, all_events, 0}}});
         }},
        {"only descriptors that are left out",
         [](World& world) {
           std::array<pollfd, 2> fds{{{-1, POLLIN, 7}, {-2, POLLIN, 7}}};
           world.timed_call("poll", 30ms, [&] { return poll(fds.data(), 2, 30); });
           world.note("revents", fds[0].revents + fds[1].revents);
         }},
        {"a closed descriptor",
         [](World& world) {
           poll_once(world, {{{world.closed_fd(), POLLIN, 0}}});
           auto [here, there] = world.pair();
           poll_once(world, {{{here, POLLIN, 0}, {world.closed_fd(), 0, 0}}});
         }},
        {"one descriptor twice",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"x"});
           poll_once(world, {{{here, POLLIN, 0}, {here, POLLPRI, 0}, {here, POLLIN, 0}}});
         }},
        {"regular files are always ready",
         [](World& world) {
           int fd = world.own(open("/proc/self/exe", O_RDONLY));
           poll_once(world, {{{fd, POLLIN, 0}}});
           poll_once(world, {{{fd, all_events, 0}}});
           poll_once(world, {{{fd, POLLPRI, 0}}}, 0);
         }},
        {"a regular file that is asked for nothing",
         [](World& world) {
           pollfd fd{world.own(open("/proc/self/exe", O_RDONLY)), POLLPRI, 0};
           world.timed_call("poll", 30ms, [&] { return poll(&fd, 1, 30); });
           world.note("revents", fd.revents);
         }},
        {"a folder, /dev/null and /dev/zero",
         [](World& world) {
           poll_once(world, {{{world.own(open("/", O_RDONLY)), all_events, 0},
                              {world.own(open("/dev/null", O_RDWR)), all_events, 0},
                              {world.own(open("/dev/zero", O_RDWR)), all_events, 0}}});
         }},
        {"what is only a path",
         [](World& world) { poll_once(world, {{{world.own(open("/", O_PATH)), POLLIN, 0}}}); }},
        {"the peer closes",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([&world, there] { world.close(there); });
           poll_once(world, {{{here, POLLIN, 0}}});
           poll_once(world, {{{here, all_events, 0}}});
         }},
        {"the peer closes, and nothing was asked for",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([&world, there] { world.close(there); });
           poll_once(world, {{{here, 0, 0}}});
         }},
        {"the peer shuts down",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { shutdown(there, SHUT_WR); });
           poll_once(world, {{{here, POLLRDHUP, 0}}});
           poll_once(world, {{{here, all_events, 0}}});
         }},
        {"the peer resets",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([&world, there] { reset(world, there); });
           poll_once(world, {{{here, 0, 0}}});
           poll_once(world, {{{here, all_events, 0}}});
         }},
        {"its own end is shut",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([here] { shutdown(here, SHUT_RDWR); });
           poll_once(world, {{{here, POLLIN, 0}}});
           poll_once(world, {{{here, all_events, 0}}});
         }},
        {"an urgent byte",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "x", 1, MSG_OOB); });
           poll_once(world, {{{here, POLLPRI, 0}}});
           poll_once(world, {{{here, POLLPRI | POLLRDBAND | POLLIN, 0}}});
         }},
        {"a writer of a pipe closes",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto peer = world.when_waiting([&world, in] { world.close(in); });
           poll_once(world, {{{out, POLLIN, 0}}});
         }},
        {"a reader of a pipe closes",
         [](World& world) {
           auto [out, in] = world.pipe();
           fill(in);
           auto peer = world.when_waiting([&world, out] { world.close(out); });
           poll_once(world, {{{in, POLLOUT, 0}}});
         }},
        {"the ends of a pipe in the other direction",
         [](World& world) {
           auto [out, in] = world.pipe();
           poll_once(world, {{{out, POLLOUT, 0}, {in, POLLIN, 0}}}, 0);
           poll_once(world, {{{out, all_events, 0}, {in, all_events, 0}}});
         }},
        {"waits for room",
         [](World& world) {
           auto [here, there] = world.pair();
           std::size_t before = fill(here);
           auto peer = world.when_waiting([there, before] { read_all(there, before); });
           poll_once(world, {{{here, POLLOUT, 0}}});
         }},
        {"waits for room in a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           std::size_t before = fill(in);
           auto peer = world.when_waiting([out, before] { read_all(out, before); });
           poll_once(world, {{{in, POLLOUT, 0}}});
         }},
        {"a unix socket without a connection",
         [](World& world) {
           poll_once(world, {{{world.own(socket(AF_UNIX, SOCK_STREAM, 0)), all_events, 0},
                              {world.own(socket(AF_INET, SOCK_STREAM, 0)), all_events, 0},
                              {world.own(socket(AF_INET, SOCK_DGRAM, 0)), all_events, 0}}});
         }},
        {"an eventfd",
         [](World& world) {
           int fd = world.own(eventfd(0, 0));
           auto peer = world.when_waiting([fd] { eventfd_write(fd, 1); });
           poll_once(world, {{{fd, POLLIN, 0}}});
           poll_once(world, {{{fd, all_events, 0}}});
         }},
        {"a timerfd",
         [](World& world) {
           int fd = world.own(timerfd_create(CLOCK_MONOTONIC, 0));
           itimerspec time{{}, {0, 20'000'000}};
           timerfd_settime(fd, 0, &time, nullptr);
           poll_once(world, {{{fd, POLLIN, 0}}});
         }},
        {"an epoll set",
         [](World& world) {
           auto [here, there] = world.pair();
           int set = world.own(epoll_create1(0));
           epoll_event event{EPOLLIN, {}};
           epoll_ctl(set, EPOLL_CTL_ADD, here, &event);
           auto peer = world.will_send(there, {"x"});
           poll_once(world, {{{set, POLLIN, 0}}});
         }},
        {"events that nobody knows",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "x", 1, 0);
           poll_once(world, {{{here, static_cast<short>(0x7fff), 0}}});
           poll_once(world, {{{here, POLLERR | POLLHUP | POLLNVAL, 0}}}, 0);
         }},
        {"more than there may be",
         [](World& world) {
           rlimit limit{};
           getrlimit(RLIMIT_NOFILE, &limit);
           pollfd fd{-1, 0, 0};
           world.call("poll", [&] { return poll(&fd, limit.rlim_cur + 1, 0); });
           world.call("poll", [&] { return poll(&fd, limit.rlim_cur + 1, 30); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"two hundred",
         [](World& world) {
           auto [here, there] = world.pair();
           Polled polled{std::vector<pollfd>(200, {here, POLLIN, 0})};
           auto peer = world.will_send(there, {"x"});
           poll_once(world, polled);
         }},
        {"nowhere",
         [](World& world) {
           world.call("poll", [] { return poll(null<pollfd>(), 1, 0); });
           world.call("poll", [] { return poll(wild<pollfd>(), 1, 30); });
           world.call("poll", [] { return poll(wild<pollfd>(), 0, 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

const Rows ppoll_rows("Ppoll",
                      {
                          {"waits for what becomes ready, and leaves its time",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             auto peer = world.will_send(there, {"x"});
                             pollfd fd{here, POLLIN, 0};
                             timespec time{60, 5};
                             world.call("ppoll", [&] { return ppoll(&fd, 1, &time, nullptr); });
                             world.note("revents", fd.revents);
                             world.note("time", time.tv_sec * 10 + time.tv_nsec);
                           }},
                          {"for ever",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             auto peer = world.will_send(there, {"x"});
                             pollfd fd{here, POLLIN, 0};
                             sigset_t mask;
                             sigemptyset(&mask);
                             world.call("ppoll", [&] { return ppoll(&fd, 1, nullptr, &mask); });
                             world.note("revents", fd.revents);
                           }},
                          {"ends when its time is up",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             pollfd fd{here, POLLIN, 0};
                             timespec time{0, 30'000'000};
                             world.timed_call("ppoll", 30ms,
                                              [&] { return ppoll(&fd, 1, &time, nullptr); });
                             world.note("time", time.tv_nsec);
                           }},
                          {"with no time",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             pollfd fd{here, POLLIN, 7};
                             timespec time{};
                             world.call("ppoll", [&] { return ppoll(&fd, 1, &time, nullptr); });
                             world.note("revents", fd.revents);
                           }},
                          {"with what is no time",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             pollfd fd{here, POLLIN, 0};
                             for (timespec time :
                                  {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
                               world.call("ppoll", [&] { return ppoll(&fd, 1, &time, nullptr); });
                             }
                           }},
                      });

}  // namespace
