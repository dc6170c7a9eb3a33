#pragma once

// Readiness: waiting until a descriptor, or one of many, can be read or written. Any descriptor
// will do: Fern's, another library's, inherited ones, terminals, pipes.
//
//   if (fern::wait_readable(PQsocket(connection), 2s)) PQconsumeInput(connection);
//
//   pollfd fds[] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};   // <poll.h>
//   if (fern::poll(fds, 100ms) > 0 && (fds[0].revents & POLLIN) != 0) copy(from, to);
//
//   fern::Selector<Client> selector;                         // many, for long
//   selector.add(fd, fern::Interest::Read, Client(fd));
//   for (auto& [fd, readable, writable, client] : selector.wait(1s)) client->serve();
//
// The descriptor's flags are not touched, O_NONBLOCK least of all. wait_readable(), wait_writable()
// and poll() watch it only for as long as the wait lasts; a Selector keeps it registered. Several
// greenlets, of any hub, may wait for one descriptor: all are told. Files are always ready.
// Whoever closes a descriptor that others wait for with close(2) leaves them waiting;
// Socket::close() wakes them.

#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

struct pollfd;

namespace fern {

// wait_readable() waits until a read would not block: data, the end, or an error to be read.
// False when the deadline passes first. Throws std::system_error (EBADF for what is not open or is
// closed meanwhile), and what every wait throws when the greenlet is killed.
FERN_API bool wait_readable(int fd, Deadline deadline = {});

// wait_writable() is the same for writing; an unconnected socket counts as ready, too.
FERN_API bool wait_writable(int fd, Deadline deadline = {});

// poll() is poll(2): waits until one of the descriptors is ready, fills in every revents and
// returns how many are; 0 when the deadline passes first. A negative fd is skipped, one that is
// not open is ready with POLLNVAL. Throws as wait_readable, but never for a bad descriptor.
// Allocates only for more than eight.
FERN_API std::size_t poll(std::span<pollfd> fds, Deadline deadline = {});

// What to wait for, and how a Selector tells of it: Level as long as it is ready, Edge once each
// time it becomes so, and once when it is added or modified; then read or write until EAGAIN.
enum class Interest : unsigned char { Read = 1, Write = 2, Both = 3 };
enum class Trigger : unsigned char { Level, Edge };

namespace detail {

class FERN_API SelectorCore {
 public:
  using Data = std::shared_ptr<void>;
  using Take = void (*)(void* list, int fd, bool readable, bool writable, Data data) noexcept;

  explicit SelectorCore(Trigger trigger);
  ~SelectorCore();

  void add(int fd, Interest interest, Data data);
  void modify(int fd, Interest interest, Data data);  // null keeps what it has
  bool remove(int fd) noexcept;
  Data get(int fd) const;
  std::size_t size() const;
  void wait(Deadline deadline, std::size_t most, void* list, Take take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace detail

// A Selector waits for many descriptors at once, each with data of yours. Registering costs a
// system call, waiting one for all of them, however many there are. Any number of greenlets, of any
// hub, may use it at once: while one waits, another adds. When several wait, Level tells each of
// them, Edge one. (Python's selectors.DefaultSelector.)
//
// Remove a descriptor before it is closed. One that was closed while registered is never ready
// again; its number may be added anew. After a fork the child has a copy of its own. Stays put.
template <class T = std::monostate>
class Selector {
 public:
  // One that is ready. An error or a hang-up makes it readable and writable, as far as it was asked
  // for: the next read or write tells. The data lives at least as long as this.
  struct Ready {
    int fd;
    bool readable;
    bool writable;
    std::shared_ptr<T> data;
  };

  // Throws std::system_error when the system refuses the descriptor that a Selector needs.
  explicit Selector(Trigger trigger = Trigger::Level) : core_(trigger) {}
  Selector(const Selector&) = delete;
  Selector& operator=(const Selector&) = delete;

  // add() registers a descriptor. Throws std::logic_error, and changes nothing, when it is
  // registered; std::system_error for one that is not open (EBADF).
  void add(int fd, Interest interest, T data = {}) {
    core_.add(fd, interest, std::make_shared<T>(std::move(data)));
  }

  // modify() changes what a registered one is waited for, and its data too if given. Throws
  // std::logic_error when it is not registered; std::system_error (EBADF) when it was closed since.
  void modify(int fd, Interest interest) { core_.modify(fd, interest, nullptr); }
  void modify(int fd, Interest interest, T data) {
    core_.modify(fd, interest, std::make_shared<T>(std::move(data)));
  }

  // remove() forgets a descriptor; false when it is not registered.
  bool remove(int fd) noexcept { return core_.remove(fd); }

  // get() is a registered one's data; null when it is not registered.
  std::shared_ptr<T> get(int fd) const { return std::static_pointer_cast<T>(core_.get(fd)); }

  std::size_t size() const { return core_.size(); }  // how many are registered

  // wait() waits until some are ready and returns them, 64 at most at a time, in turns; none when
  // the deadline passes first. A zero deadline only looks; else BlockingInHub on the hub's own
  // stack. A kill ends the wait, and takes nothing.
  std::vector<Ready> wait(Deadline deadline = {}) {
    std::vector<Ready> ready;
    ready.reserve(at_once);
    core_.wait(
        deadline, at_once, &ready,
        [](void* list, int fd, bool readable, bool writable, std::shared_ptr<void> data) noexcept {
          static_cast<std::vector<Ready>*>(list)->push_back(
              {fd, readable, writable, std::static_pointer_cast<T>(std::move(data))});
        });
    return ready;
  }

 private:
  static constexpr std::size_t at_once = 64;

  detail::SelectorCore core_;
};

}  // namespace fern
