#pragma once

// What a wrapped call does besides the call: wait as its native namesake would, be fair, and end
// when its greenlet is to end.

#include "io/fd_wait.hpp"
#include "monkey/handlers.hpp"

#include <fern/deadline.hpp>

#include <cerrno>
#include <chrono>
#include <cstdint>

namespace fern::monkey {

using io::Direction;

// fair() is called when a call found what it came for at once: every so often it lets others run,
// and the hub look at its loop. at_once() is for calls that were told not to wait, which loops use
// to poll: always lets others run. Both keep errno.
void fair() noexcept;
void at_once() noexcept;

// refused() asks before a wait that is not for a descriptor whether the running greenlet is to end
// instead: then it sets errno (see core::refuse) and others have run.
bool refused() noexcept;

// nonblocking() asks whether the descriptor's owner made it so.
bool nonblocking(int fd) noexcept;

// receive_limit() and send_limit() are SO_RCVTIMEO and SO_SNDTIMEO from now; never for what is no
// socket.
Deadline receive_limit(int fd) noexcept;
Deadline send_limit(int fd) noexcept;

// Ending judges what io's waits give: whether the call is to be tried again, and with which errno
// it ends if not.
class Ending {
 public:
  explicit Ending(Interrupts::By by) noexcept : interrupts_(by) {}

  // late() asks whether the limit has passed already.
  bool late() const noexcept { return late_; }

  // again() takes what a park gave. After the limit the call is tried once more: what is due
  // together with it has happened.
  bool again(int error) noexcept;

  // in_vain() asks whether waits in a row have ended at once and brought nothing: some files say
  // that they are ready for ever (a unix datagram socket is writable, though the receiver's queue
  // is full). Then the next one is to be a rest().
  void begin() noexcept;
  bool in_vain() const noexcept { return quick_ >= most_quick; }
  void not_in_vain() noexcept { quick_ = 0; }

  // done_in_part() is told that the call has something to return: then no handler restarts it.
  void done_in_part() noexcept { interrupts_.by_any(); }

 private:
  static constexpr unsigned most_quick = 4;

  Interrupts interrupts_;
  bool late_ = false;
  unsigned quick_ = 0;
  std::int64_t began_ = 0;
};

// rest() waits so long, at most until the limit: for what tells nobody when it is ready. 0, or an
// errno of io's.
int rest(const char* what, int fd, Deadline limit,
         std::chrono::milliseconds pause = std::chrono::milliseconds(1)) noexcept;

// Wait is a wrapped call's waiting for one descriptor. A call with a limit of its socket's is never
// restarted after a handler.
class Wait {
 public:
  Wait(int fd, Direction direction, const char* what, Deadline limit = {}) noexcept
      : Wait(fd, direction, what, limit,
             limit.is_never() ? Interrupts::unless_restarted : Interrupts::any_handler) {}
  Wait(int fd, Direction direction, const char* what, Deadline limit, Interrupts::By by) noexcept
      : fd_(fd), wait_(fd, direction), what_(what), limit_(limit), ending_(by) {}

  // again() waits until the call may be tried again. False, and errno says why, when it is not to
  // be: EAGAIN when the limit has passed, EINTR, EBADF, ECANCELED, ETIMEDOUT. EPERM is for what can
  // only be called natively: a file.
  bool again() noexcept;

  // progressed() is told that the last wait was not in vain, though the call has to wait again.
  void progressed() noexcept { ending_.not_in_vain(); }

  // done_in_part() is Ending's.
  void done_in_part() noexcept { ending_.done_in_part(); }

  // again_later() is again() for what nothing tells of: after a rest().
  bool again_later() noexcept;

 private:
  int fd_;
  io::FdWait wait_;
  const char* what_;
  Deadline limit_;
  Ending ending_;
};

// A call that has done a part, and waits for the rest, says made_progress instead of EAGAIN: no
// wait was in vain. No user ever sees it.
constexpr int made_progress = ERESTART;

inline bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == made_progress;
}

// How much a call has done that does all or nothing.
constexpr unsigned no_part = 0;

// wait_until_done() is the rest of until_done(), when the call has said EAGAIN.
template <class Call, class Limit, class Done = unsigned>
auto wait_until_done(int fd, Direction direction, const char* what, Limit limit, Call call,
                     const Done& done = no_part) noexcept -> decltype(call()) {
  if (nonblocking(fd)) {
    at_once();
    errno = EAGAIN;
    return -1;
  }
  Wait wait(fd, direction, what, limit(fd));
  for (;;) {
    if (done > 0) wait.done_in_part();
    if (!wait.again()) return -1;
    auto result = call();
    if (result >= 0 || !would_block(errno)) return result;
    if (errno == made_progress) wait.progressed();
  }
}

// until_done() is the way of a call that takes what there is: `call` says EAGAIN where it would
// block, `limit` is asked for when it has to wait, `done` is how much a call that returns a part
// has done so far.
template <class Call, class Limit, class Done = unsigned>
auto until_done(int fd, Direction direction, const char* what, Limit limit, Call call,
                const Done& done = no_part) noexcept -> decltype(call()) {
  auto result = call();
  if (result >= 0 || !would_block(errno)) {
    fair();
    return result;
  }
  return wait_until_done(fd, direction, what, limit, call, done);
}

}  // namespace fern::monkey
