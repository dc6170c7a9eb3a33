#pragma once

// Serving is what every server is made of: a socket, a greenlet that takes in what comes there, a
// pool of handlers, and an end. The server has a share of it, and so have the greenlets.

#include <fern/address.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/group.hpp>
#include <fern/semaphore.hpp>
#include <fern/socket.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

namespace fern::net {

// Permit is one handler's place in the pool, given back however it ends.
class Permit {
 public:
  explicit Permit(Semaphore& places) : places_(&places) { places.acquire(); }
  Permit(Permit&& other) noexcept : places_(std::exchange(other.places_, nullptr)) {}
  Permit& operator=(Permit&&) = delete;
  ~Permit() {
    if (places_ != nullptr) places_->release();
  }

 private:
  Semaphore* places_;
};

// check_listens() throws a std::system_error (EINVAL) for a socket that does not listen.
void check_listens(const Socket& socket, const char* what);

class Serving {
 public:
  // `kind` is the class as the user knows it. Answers says that handlers need the socket, so that
  // it is open until they have ended.
  enum class Use : unsigned char { Accepts, Answers };
  Serving(const char* kind, Socket taken, Use use, std::size_t pool);
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  Socket socket;
  Address address;  // where the socket is, or was
  Semaphore places;
  Group handlers;

  // start() begins to take in, in a greenlet; `take_in` runs until it is killed or throws.
  void start(detail::Function<void()> take_in);

  // stop_taking_in() is the first half of stop().
  void stop_taking_in() noexcept;

  // abandon() is for when the server goes.
  void abandon() noexcept {
    stop_taking_in();
    stopped_.set();
  }

  // stop() stops taking in and waits for the handlers; those that have not ended by the deadline
  // are left to `end_rest`. True when there were none.
  template <class EndRest>
  bool stop(Deadline deadline, EndRest end_rest) {
    check_thread();
    End end(*this);
    stop_taking_in();
    if (handlers.contains(current_greenlet())) return true;
    if (intake_.valid()) intake_.join();
    bool ended = handlers.waitall(deadline);
    if (!ended) end_rest();
    socket.close();
    return ended;
  }

  // wait() waits until stop() has ended, and throws what has ended the greenlet that takes in.
  void wait();

  bool running() const noexcept { return intake_.valid() && !stopping_; }

  // persist() calls f until it does not fail for what may pass, descriptors or memory that have run
  // out, and pauses in between. The socket's own errors are thrown.
  template <class Fn>
  auto persist(const char* what, Fn f) {
    for (auto pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
      try {
        return f();
      } catch (const std::system_error& error) {
        if (is_final(error)) throw;
        if (pause == first_pause) tell(error, what);
      }
      sleep(pause);
    }
  }

  // take_turns() lets others run now and then: who asks without end must not starve them.
  void take_turns() {
    if (++taken_ % turn == 0) yield();
  }

 private:
  static constexpr std::chrono::milliseconds first_pause{10};
  static constexpr std::chrono::milliseconds longest_pause{1000};
  static constexpr unsigned turn = 16;

  // Whoever waits for the end is told, even if stop() is left by an exception.
  struct End {
    explicit End(Serving& serving) noexcept : serving(serving) {}
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    ~End() { serving.stopped_.set(); }
    Serving& serving;
  };
  static bool is_final(const std::system_error& error) noexcept;
  void tell(const std::system_error& error, const char* what) const;
  void check_thread() const;
  void failed();

  const char* kind_;
  Use use_;
  const void* hub_ = nullptr;  // where it was started
  Greenlet<void> intake_;
  Event stopped_;
  bool stopping_ = false;
  unsigned waiting_ = 0;  // greenlets in wait()
  std::exception_ptr failure_;
  unsigned taken_ = 0;
};

}  // namespace fern::net
