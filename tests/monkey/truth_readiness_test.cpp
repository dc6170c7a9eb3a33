// The truth about poll, ppoll, select, pselect and epoll_wait.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/timerfd.h>

#include <array>
#include <csignal>
#include <memory>
#include <vector>

using namespace fern::truth;
using std::chrono::milliseconds;

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

// A call that ends because its time is up.
template <class Call>
void takes(World& world, std::string_view what, milliseconds least, Call call) {
  auto begin = std::chrono::steady_clock::now();
  world.waiting_call(what, call);
  world.note("long enough", std::chrono::steady_clock::now() - begin >= least);
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "poll", milliseconds(30), [&] { return poll(&fd, 1, 30); });
           world.note("revents", fd.revents);
         }},
        {"waits a moment for nothing",
         [](World& world) {
           takes(world, "poll", milliseconds(30), [] { return poll(nullptr, 0, 30); });
         }},
        {"does not wait with no time",
         [](World& world) {
           auto [here, there] = world.pair();
           poll_once(world, {{{here, POLLIN, 0}}}, 0);
           poll_once(world, {{{here, POLLIN | POLLOUT, 0}}}, 0);
         }},
        {"any time below nothing is for ever",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
           poll_once(world, {{{-1, POLLIN, 0}, {here, POLLIN, 0}, {-77, all_events, 0}}});
         }},
        {"only descriptors that are left out",
         [](World& world) {
           std::array<pollfd, 2> fds{{{-1, POLLIN, 7}, {-2, POLLIN, 7}}};
           takes(world, "poll", milliseconds(30), [&] { return poll(fds.data(), 2, 30); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "poll", milliseconds(30), [&] { return poll(&fd, 1, 30); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
                             auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
                             pollfd fd{here, POLLIN, 0};
                             timespec time{60, 5};
                             world.call("ppoll", [&] { return ppoll(&fd, 1, &time, nullptr); });
                             world.note("revents", fd.revents);
                             world.note("time", time.tv_sec * 10 + time.tv_nsec);
                           }},
                          {"for ever",
                           [](World& world) {
                             auto [here, there] = world.pair();
                             auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
                             takes(world, "ppoll", milliseconds(30),
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "select", milliseconds(30),
                 [&] { return select(FD_SETSIZE, &in.set, nullptr, nullptr, &time); });
           note_set(world, "in", in.set, {here, there});
           world.note("time", time.tv_sec + time.tv_usec);
         }},
        {"says how much time is left",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "select", milliseconds(30),
                 [&] { return select(0, nullptr, nullptr, nullptr, &time); });
           world.note("time", time.tv_usec);
         }},
        {"more microseconds than a second has",
         [](World& world) {
           timeval time{0, 1'030'000};
           takes(world, "select", milliseconds(1030),
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "pselect", milliseconds(30),
                 [&] { return pselect(here + 1, &in.set, nullptr, nullptr, &time, nullptr); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
           set.wait(world);
         }},
        {"ends when its time is up",
         [](World& world) {
           auto [here, there] = world.pair();
           EpollSet set(world);
           set.add(here, EPOLLIN, 1);
           epoll_event event{};
           takes(world, "epoll_wait", milliseconds(30),
                 [&] { return epoll_wait(set.fd, &event, 1, 30); });
         }},
        {"an empty set",
         [](World& world) {
           EpollSet set(world);
           epoll_event event{};
           takes(world, "epoll_wait", milliseconds(30),
                 [&] { return epoll_wait(set.fd, &event, 1, 30); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
           takes(world, "epoll_pwait2", milliseconds(30),
                 [&] { return epoll_pwait2(set.fd, events.data(), 8, &time, nullptr); });
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
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
