// The truth about handlers of signals that run while a call waits: with SA_RESTART, and without.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/uio.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>

using namespace fern::truth;

namespace {

constexpr int minutes = 600;

// After the handler what the call waits for is done, if it waits on.
Peer interrupted(World& world, std::function<void()> then = [] {}) {
  return world.when_waiting([&world, then = std::move(then)] {
    pthread_kill(world.thread(), SIGUSR1);
    world.until_waiting();
    then();
  });
}

template <class Row>
void with_both(World& world, Row row) {
  for (int flags : {0, SA_RESTART}) {
    world.note("SA_RESTART", flags != 0);
    Handles handles(SIGUSR1, flags);
    row();
    world.note("handled", Handles::count());
  }
}

// Where another one speaks in the end.
template <class Call>
void reading(World& world, std::string_view what, std::pair<int, int> ends, Call call) {
  auto peer = interrupted(world, [there = ends.second] { (void)!write(there, "abc", 3); });
  world.call(what, [&] { return call(ends.first); });
}

// Where another one reads in the end.
template <class Call>
void writing(World& world, std::string_view what, std::pair<int, int> ends, Call call) {
  std::size_t before = fill(ends.first);
  auto peer = interrupted(world, [=] { read_all(ends.second, before); });
  world.call(what, [&] { return call(ends.first); });
}

std::pair<int, int> turned(std::pair<int, int> ends) { return {ends.second, ends.first}; }

// A call of much that has done a part when the handler runs.
template <class Call>
void with_a_part(World& world, std::string_view what, Call call) {
  auto peer = interrupted(world, [] {});
  long result = 0;
  world.call(what, [&] { return result = call(), 0; });
  world.note("a part", result > 0);
}

const std::string much(4 << 20, 'm');

const Rows transfer_rows(
    "A handler while data moves",
    {
        {"read, recv and their kin",
         [](World& world) {
           with_both(world, [&] {
             char bytes[8];
             iovec part{bytes, sizeof bytes};
             msghdr message{};
             message.msg_iov = &part;
             message.msg_iovlen = 1;
             mmsghdr messages{message, 0};
             reading(world, "read", world.pipe(), [&](int fd) { return read(fd, bytes, 8); });
             reading(world, "read", world.tcp(), [&](int fd) { return read(fd, bytes, 8); });
             reading(world, "readv", world.pair(), [&](int fd) { return readv(fd, &part, 1); });
             reading(world, "recv", world.tcp(), [&](int fd) { return recv(fd, bytes, 8, 0); });
             reading(world, "recvfrom", world.pair(SOCK_DGRAM),
                     [&](int fd) { return recvfrom(fd, bytes, 8, 0, nullptr, nullptr); });
             reading(world, "recvmsg", world.pair(),
                     [&](int fd) { return recvmsg(fd, &message, 0); });
             reading(world, "recvmmsg", world.pair(SOCK_DGRAM),
                     [&](int fd) { return recvmmsg(fd, &messages, 1, 0, nullptr); });
             auto [out, in] = world.pipe();
             reading(world, "splice", world.pair(),
                     [to = in](int fd) { return splice(fd, nullptr, to, nullptr, 8, 0); });
             reading(world, "tee", world.pipe(), [to = in](int fd) { return tee(fd, to, 8, 0); });
           });
         },
         In::Main},
        {"an eventfd",
         [](World& world) {
           with_both(world, [&] {
             int fd = world.own(eventfd(0, 0));
             auto peer = interrupted(world, [fd] { eventfd_write(fd, 5); });
             eventfd_t value = 0;
             world.call("eventfd_read", [&] { return eventfd_read(fd, &value); });
           });
         },
         In::Main},
        {"a limit of the socket's is never restarted",
         [](World& world) {
           with_both(world, [&] {
             char bytes[8];
             auto [here, there] = world.tcp();
             set_limit(here, SO_RCVTIMEO, minutes * 1000);
             set_limit(here, SO_SNDTIMEO, minutes * 1000);
             reading(world, "recv", {here, there}, [&](int fd) { return recv(fd, bytes, 8, 0); });
             writing(world, "send", {here, there}, [&](int fd) { return send(fd, "x", 1, 0); });
           });
         },
         In::Main},
        {"write, send and their kin",
         [](World& world) {
           with_both(world, [&] {
             iovec part{const_cast<char*>(much.data()), 3};
             msghdr message{};
             message.msg_iov = &part;
             message.msg_iovlen = 1;
             mmsghdr messages{message, 0};
             writing(world, "write", turned(world.pipe()),
                     [](int fd) { return write(fd, "abc", 3); });
             writing(world, "write", world.pair(), [](int fd) { return write(fd, "abc", 3); });
             writing(world, "writev", world.pair(), [&](int fd) { return writev(fd, &part, 1); });
             writing(world, "send", world.tcp(), [](int fd) { return send(fd, "abc", 3, 0); });
             writing(world, "sendmsg", world.pair(),
                     [&](int fd) { return sendmsg(fd, &message, 0); });
             writing(world, "sendmmsg", world.pair(),
                     [&](int fd) { return sendmmsg(fd, &messages, 1, 0); });
           });
         },
         In::Main},
        {"a part that has been written is the result",
         [](World& world) {
           with_both(world, [&] {
             std::size_t all = much.size();
             iovec part{const_cast<char*>(much.data()), all};
             mmsghdr messages[2]{};
             for (auto& each : messages) {
               each.msg_hdr.msg_iov = &part;
               each.msg_hdr.msg_iovlen = 1;
             }
             int fd = world.pipe().second;
             with_a_part(world, "write", [=] { return write(fd, much.data(), all); });
             int socket = world.pair().first;
             with_a_part(world, "write", [=] { return write(socket, much.data(), all); });
             int connection = world.tcp().first;
             with_a_part(world, "send", [=] { return send(connection, much.data(), all, 0); });
             int other = world.pair().first;
             with_a_part(world, "sendmmsg", [&] { return sendmmsg(other, messages, 2, 0); });
           });
         },
         In::Main},
        {"a part that has been read is the result",
         [](World& world) {
           with_both(world, [&] {
             for (auto [here, there] : {world.pair(), world.tcp()}) {
               char bytes[8];
               send(there, "ab", 2, 0);
               auto peer = interrupted(world, [to = there] { send(to, "cdefgh", 6, 0); });
               world.call("recv", [&, fd = here] { return recv(fd, bytes, 8, MSG_WAITALL); });
             }
             auto [here, there] = world.pair(SOCK_DGRAM);
             char bytes[8];
             iovec part{bytes, sizeof bytes};
             mmsghdr messages[2]{};
             for (auto& each : messages) {
               each.msg_hdr.msg_iov = &part;
               each.msg_hdr.msg_iovlen = 1;
             }
             send(there, "ab", 2, 0);
             auto peer = interrupted(world, [to = there] { send(to, "cd", 2, 0); });
             world.call("recvmmsg",
                        [&, fd = here] { return recvmmsg(fd, messages, 2, 0, nullptr); });
           });
         },
         In::Main},
    });

const Rows readiness_rows(
    "A handler while readiness is waited for",
    {
        {"poll, select and epoll_wait end always",
         [](World& world) {
           with_both(world, [&] {
             auto [here, there] = world.pair();
             pollfd one{here, POLLIN, 0};
             timespec time{minutes, 0};
             timeval left{minutes, 0};
             fd_set set;
             FD_ZERO(&set);
             FD_SET(here, &set);
             int epoll = world.own(epoll_create1(0));
             epoll_event event{};
             event.events = EPOLLIN;
             epoll_ctl(epoll, EPOLL_CTL_ADD, here, &event);
             auto ends = [&](std::string_view what, auto call) {
               auto peer = interrupted(world);
               world.call(what, call);
             };
             ends("poll", [&] { return poll(&one, 1, -1); });
             ends("poll", [&] { return poll(&one, 1, minutes * 1000); });
             ends("ppoll", [&] { return ppoll(&one, 1, &time, nullptr); });
             ends("select",
                  [&, fd = here] { return select(fd + 1, &set, nullptr, nullptr, &left); });
             world.note("left", left.tv_sec < minutes && left.tv_sec > minutes / 2);
             world.note("still in it", FD_ISSET(here, &set));
             ends("pselect", [&, fd = here] {
               return pselect(fd + 1, &set, nullptr, nullptr, &time, nullptr);
             });
             ends("epoll_wait", [&] { return epoll_wait(epoll, &event, 1, -1); });
             ends("epoll_pwait", [&] { return epoll_pwait(epoll, &event, 1, -1, nullptr); });
           });
         },
         In::Main},
        {"what a mask lets in",
         [](World& world) {
           sigset_t blocked;
           sigset_t before;
           sigset_t none;
           sigemptyset(&none);
           sigemptyset(&blocked);
           sigaddset(&blocked, SIGUSR1);
           pthread_sigmask(SIG_BLOCK, &blocked, &before);
           with_both(world, [&] {
             auto [here, there] = world.pair();
             pollfd one{here, POLLIN, 0};
             timespec time{minutes, 0};
             pthread_kill(world.thread(), SIGUSR1);
             world.call("ppoll", [&] { return ppoll(&one, 1, &time, &none); });
             {
               auto peer = interrupted(world);
               world.call("ppoll", [&] { return ppoll(&one, 1, &time, &none); });
             }
             auto peer = interrupted(world);
             world.call("pselect",
                        [&] { return pselect(0, nullptr, nullptr, nullptr, &time, &none); });
           });
           pthread_sigmask(SIG_SETMASK, &before, nullptr);
         },
         In::Main},
        {"accept and connect",
         [](World& world) {
           with_both(world, [&] {
             UnixListener listener(world, 0);
             int client = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
             {
               auto peer = interrupted(world, [&] { listener.connect_to(client); });
               int fd = -1;
               world.call("accept", [&] {
                 fd = accept(listener.fd, nullptr, nullptr);
                 return fd < 0 ? -1 : 0;
               });
               if (fd >= 0) world.own(fd);
             }
             listener.fill(world);
             int other = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
             auto peer =
                 interrupted(world, [&] { world.own(accept(listener.fd, nullptr, nullptr)); });
             world.call("connect", [&] { return listener.connect_to(other); });
           });
         },
         In::Main},
        {"accept within a limit",
         [](World& world) {
           with_both(world, [&] {
             UnixListener listener(world, 0);
             set_limit(listener.fd, SO_RCVTIMEO, minutes * 1000);
             auto peer = interrupted(world);
             world.call("accept", [&] { return accept(listener.fd, nullptr, nullptr); });
           });
         },
         In::Main},
    });

const Rows other_rows(
    "A handler while time and locks are waited for",
    {
        {"sleeps say what is left",
         [](World& world) {
           with_both(world, [&] {
             timespec time{minutes, 0};
             timespec left{};
             auto ends = [&](std::string_view what, auto call) {
               auto peer = interrupted(world);
               world.call(what, call);
             };
             auto note_left = [&] {
               world.note("left", left.tv_sec < minutes && left.tv_sec > minutes / 2);
             };
             ends("nanosleep", [&] { return nanosleep(&time, &left); });
             note_left();
             ends("nanosleep", [&] { return nanosleep(&time, nullptr); });
             ends("clock_nanosleep",
                  [&] { return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left); });
             note_left();
             timespec until{};
             clock_gettime(CLOCK_REALTIME, &until);
             until.tv_sec += minutes;
             left = {1, 2};
             ends("clock_nanosleep",
                  [&] { return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, &left); });
             world.note("left", left.tv_sec + left.tv_nsec);
             ends("usleep", [] { return usleep(minutes * 1'000'000U); });
             ends("sleep", [] { return sleep(minutes) > minutes / 2; });
           });
         },
         In::Main},
        {"locks of files",
         [](World& world) {
           with_both(world, [&] {
             char name[] = "/tmp/fern-truth-XXXXXX";
             int one = world.own(mkstemp(name));
             int other = world.own(open(name, O_RDWR));
             unlink(name);
             {
               flock(one, LOCK_EX);
               auto peer = interrupted(world, [one] { flock(one, LOCK_UN); });
               world.call("flock", [&] { return flock(other, LOCK_EX); });
             }
             struct flock all{};
             struct flock none{};
             all.l_type = F_WRLCK;
             none.l_type = F_UNLCK;
             for (int command : {F_OFD_SETLKW, F_SETLKW}) {
               fcntl(one, F_OFD_SETLK, &all);
               auto peer = interrupted(world, [&] { fcntl(one, F_OFD_SETLK, &none); });
               world.call("fcntl", [&] { return fcntl(other, command, &all); });
               fcntl(other, command, &none);
             }
             fcntl(one, F_OFD_SETLK, &all);
             auto peer = interrupted(world, [&] { fcntl(one, F_OFD_SETLK, &none); });
             world.call("lockf", [&] { return lockf(other, F_LOCK, 0); });
           });
         },
         In::Main},
        {"the open of a fifo",
         [](World& world) {
           with_both(world, [&] {
             char folder[] = "/tmp/fern-truth-XXXXXX";
             if (mkdtemp(folder) == nullptr) return;
             std::string name = std::string(folder) + "/fifo";
             mkfifo(name.c_str(), 0600);
             {
               auto peer =
                   interrupted(world, [&] { world.own(open(name.c_str(), O_RDWR | O_NONBLOCK)); });
               world.open_call("open", [&] { return open(name.c_str(), O_RDONLY); });
             }
             unlink(name.c_str());
             rmdir(folder);
           });
         },
         In::Main},
    });

}  // namespace
