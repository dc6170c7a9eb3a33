#pragma once

// The truth table: a row makes a wrapped call in a world of its own, natively in a thread that has
// no hub, and green in a greenlet. Both must come to the same.
//
//   const truth::Rows receiving("Recv", {
//       {"waits for what is sent", [](World& world) {
//          auto [here, there] = world.pair();
//          char bytes[8];
//          auto peer = world.when_waiting([&] { send(there, "ab", 2, 0); });
//          world.call("recv", [&] { return recv(here, bytes, sizeof bytes, 0); });
//          world.note("data", std::string_view(bytes, 2));
//        }},
//   });
//
// With FERN_TRUTH_SHOW in the environment the outcomes are printed.

#include "monkey/patched.hpp"

#include <netinet/in.h>
#include <sys/un.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

// What a sanitizer wants to read before libc may say EFAULT.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FERN_TRUTH_WILD false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FERN_TRUTH_WILD false
#endif
#endif
#ifndef FERN_TRUTH_WILD
#define FERN_TRUTH_WILD true
#endif

namespace fern::truth {

// A thread that does something when the row's call waits. Joined when it goes.
class Peer {
 public:
  Peer(std::atomic<bool>& leaving, std::thread thread)
      : leaving_(leaving), thread_(std::move(thread)) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    leaving_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool>& leaving_;
  std::thread thread_;
};

// World is what a row is given: it owns descriptors, and takes down what happened.
class World {
 public:
  explicit World(bool green);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // own() closes the descriptor when the row ends, and watches its flags in each call.
  int own(int fd);
  std::pair<int, int> own(std::pair<int, int> fds);
  void close(int fd);   // before the row ends
  void disown(int fd);  // somebody else has closed it
  int closed_fd();      // a number that is no descriptor

  std::pair<int, int> pair(int type = SOCK_STREAM);  // of unix sockets
  std::pair<int, int> pipe(int flags = 0);           // the end to read from, the end to write to
  std::pair<int, int> tcp();                         // two ends of a connection over loopback
  std::pair<int, int> udp();  // a receiver of datagrams on loopback, and a sender to it

  // call() makes the call and takes down what it returned, and errno: whether it was touched, too.
  // waiting_call() is one that waits without a peer: others must have run meanwhile.
  template <class Call>
  auto call(std::string_view what, Call call) {
    begin();
    auto result = call();
    int error = errno;
    end();
    if constexpr (std::is_pointer_v<decltype(result)>) {
      note_result(what, result == nullptr ? -1 : 0, error);
    } else {
      note_result(what, static_cast<long long>(result), error);
    }
    return result;
  }
  template <class Call>
  auto waiting_call(std::string_view what, Call function) {
    unsigned before = ticks_;
    auto result = call(what, std::move(function));
    if (green_ && ticks_ == before) blocked_ = true;
    return result;
  }
  // timed_call() is one that ends because its time is up.
  template <class Call>
  auto timed_call(std::string_view what, std::chrono::nanoseconds least, Call function) {
    auto begin = std::chrono::steady_clock::now();
    auto result = waiting_call(what, std::move(function));
    note("long enough", std::chrono::steady_clock::now() - begin >= least);
    return result;
  }
  // open_call() is one that returns a descriptor, whose number says nothing.
  template <class Call>
  int open_call(std::string_view what, Call call) {
    begin();
    int fd = call();
    int error = errno;
    end();
    note_result(what, fd < 0 ? -1 : 0, error);
    return fd < 0 ? -1 : own(fd);
  }

  void note(std::string_view what, std::string_view value);
  void note(std::string_view what, const char* value) { note(what, std::string_view(value)); }
  template <class Number>
    requires std::is_arithmetic_v<Number>
  void note(std::string_view what, Number value) {
    note(what, std::string_view(std::to_string(value)));
  }

  // when_waiting() has a thread do this as soon as the row's call waits. until_waiting(), called in
  // such a thread, waits for the next wait.
  [[nodiscard]] Peer when_waiting(std::function<void()> act);
  void until_waiting();
  // will_send() is the Peer that sends a piece whenever the row's call waits.
  [[nodiscard]] Peer will_send(int fd, std::vector<std::string> pieces);

  // thread() is that which makes the call; signals to it reach its call.
  pthread_t thread() const { return thread_; }
  bool green() const { return green_; }
  bool blocked() const { return blocked_; }
  const std::string& outcome() const { return outcome_; }

 private:
  void begin();
  void end();
  void note_result(std::string_view what, long long result, int error);
  void tick();
  bool asleep() const;

  struct Fd {
    int number;
    int flags;
  };

  const bool green_;
  const pthread_t thread_ = pthread_self();
  const int tid_;
  std::mutex mutex_;  // of the following, which peers use too
  std::vector<Fd> fds_;
  std::string outcome_;
  std::atomic<bool> calling_ = false;
  std::atomic<bool> leaving_ = false;  // peers are to do what they have to do
  bool over_ = false;
  std::atomic<unsigned> ticks_ = 0;  // turns of a greenlet that runs beside the green row
  std::atomic<bool> blocked_ = false;
  fern::Greenlet<void> ticker_;
};

// Handles counts a signal while it lives, by a handler with these flags.
class Handles {
 public:
  explicit Handles(int signal, int flags = 0);
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles();
  static int count();

 private:
  int signal_;
  struct sigaction before_{};
};

// A unix listener without a file, whose name nobody else has.
struct UnixListener {
  UnixListener(World& world, int backlog);
  int connect_to(int from) const;
  void fill(World& world) const;  // connections until no more fit
  int fd;
  sockaddr_un name{};
  socklen_t size;
};

void set_nonblocking(int fd);
void set_limit(int fd, int option, int milliseconds);  // SO_RCVTIMEO, SO_SNDTIMEO
void reset(World& world, int fd);                      // closes it so that its peer sees a reset
std::size_t fill(int fd);                              // writes until nothing more is taken
std::string read_all(int fd, std::size_t most);        // what there is, without waiting
std::size_t drain(int fd);                             // reads to the end, and counts
int file(World& world, std::string_view text);         // one without a name that holds this

// note_drained() notes how much comes out at one end while this fills the other, and closes it.
void note_drained(World& world, int from, int to, const std::function<void()>& fill);

// text() is what a call has taken, if it has.
inline std::string_view text(const char* bytes, ssize_t got) {
  return {bytes, got < 0 ? 0 : static_cast<std::size_t>(got)};
}

inline sockaddr_in loopback(in_port_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = port;
  return address;
}

// Pointers that the compiler takes for good ones.
template <class T = char>
T* null() {
  T* volatile pointer = nullptr;
  return pointer;
}
template <class T = char>
T* wild() {
  T* volatile pointer = reinterpret_cast<T*>(0x10);
  return pointer;
}

// Where a row is green: in a greenlet, or in the main greenlet, which signals reach.
enum class In { Greenlet, Main };

struct Row {
  const char* name;
  void (*run)(World& world);
  In in = In::Greenlet;
  bool wanted = true;
};

// Rows makes a test of each. With `keeps_heap` these may end with more heap than they began with,
// for that reason.
class Rows {
 public:
  Rows(const char* group, std::initializer_list<Row> rows, const char* keeps_heap = nullptr);
};

}  // namespace fern::truth
