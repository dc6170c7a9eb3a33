#pragma once

// What Fern throws, and why it is what it is.
//
//   the world fails      std::system_error with the errno
//   time runs out        TimeoutError, or QueueEmpty and QueueFull which derive from it
//   a kill arrives       GreenletExit: unwinds the greenlet, so it is no std::exception and
//                        `catch (const std::exception&)` does not swallow it
//   misuse               GreenletError, BlockingInHub, std::logic_error: nothing was changed
//   nobody can wake us   LoopExit
//
//   try {
//     size = socket.recv(buffer, 2s);
//   } catch (const fern::TimeoutError&) {
//     retry();
//   }

#include <fern/config.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

namespace fern {

class Timeout;
struct KillAccess;
struct TimeoutAccess;

// TimeoutError says that a wait's Deadline passed, or that a Timeout scope expired in it.
class FERN_API TimeoutError : public std::runtime_error {
 public:
  explicit TimeoutError(const std::string& what = "timed out");
  ~TimeoutError() override;

 private:
  friend class Timeout;
  friend struct TimeoutAccess;
  const void* scope_ = nullptr;  // the Timeout that threw it, by identity; null for a Deadline
};

// QueueEmpty is thrown by get() of a queue or channel when its Deadline passes and there is nothing
// to take.
class FERN_API QueueEmpty : public TimeoutError {
 public:
  QueueEmpty();
  ~QueueEmpty() override;
};

// QueueFull is thrown by put() when its Deadline passes and there is no room, or nobody to take it.
class FERN_API QueueFull : public TimeoutError {
 public:
  QueueFull();
  ~QueueFull() override;
};

// QueueClosed is thrown by put() on a closed queue or channel, and by get() on one that is closed
// and empty.
class FERN_API QueueClosed : public std::runtime_error {
 public:
  QueueClosed();
  ~QueueClosed() override;
};

// BrokenBarrier says that not all who should meet at a Barrier can come.
class FERN_API BrokenBarrier : public std::runtime_error {
 public:
  BrokenBarrier();
  ~BrokenBarrier() override;
};

// GreenletExit unwinds a killed greenlet. Not a std::exception: whoever catches it with
// `catch (...)` must rethrow it or end. Thrown by the user it ends the greenlet the same way.
//
// A greenlet that was killed and waits again, with the GreenletExit gone, has swallowed it: it goes
// on, but stderr says so, once per kill. While the exception is handled, or kept by an
// exception_ptr, nothing is said. Who goes on on purpose dismisses it:
//
//   try {
//     serve(client);
//   } catch (const fern::GreenletExit& exit) {
//     exit.dismiss();   // only this client was to be given up
//   }
class FERN_API GreenletExit {
 public:
  explicit GreenletExit(std::string why = "");
  GreenletExit(const GreenletExit&);
  GreenletExit& operator=(const GreenletExit&);
  virtual ~GreenletExit();

  // what() is the reason given, or "".
  const char* what() const noexcept;

  // dismiss() says that the greenlet survives this kill on purpose. Throws and ends nothing.
  void dismiss() const noexcept;

 private:
  friend struct KillAccess;
  std::string why_;
  std::shared_ptr<std::atomic<bool>> dismissed_;  // of one that a kill has thrown
};

// GreenletKilled is what get() throws for a greenlet that ended by a GreenletExit.
class FERN_API GreenletKilled : public std::runtime_error {
 public:
  explicit GreenletKilled(const std::string& name);
  ~GreenletKilled() override;
};

// GreenletError says that a greenlet was misused: a handle of nothing, joining oneself, switching
// by hand to one of another thread or one that its hub will resume, a circle of parents.
class FERN_API GreenletError : public std::logic_error {
 public:
  explicit GreenletError(const std::string& what);
  ~GreenletError() override;
};

// BlockingInHub is thrown by a wait that is called on the hub's own stack, which has to keep
// running for anybody to be woken. Callbacks given to Hub::post run there: spawn instead.
class FERN_API BlockingInHub : public std::logic_error {
 public:
  explicit BlockingInHub(const std::string& what);
  ~BlockingInHub() override;
};

// LoopExit is thrown in a thread's main greenlet when it waits for what can never happen: no
// greenlet is ready, no timer, descriptor, signal or job is pending, and no thread is left that
// could wake it. what() lists every greenlet and what it waits on. It goes by the way of a kill: a
// main that waits under a ShieldKill, or in a destructor while it unwinds, is not thrown at. Then
// the list is printed on stderr, once, and that wait goes on; the next one that is neither, and
// cannot end, throws. (gevent's LoopExit.)
class FERN_API LoopExit : public std::runtime_error {
 public:
  explicit LoopExit(const std::string& what);
  ~LoopExit() override;
};

}  // namespace fern
