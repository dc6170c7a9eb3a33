#pragma once

// A call that the kernel has no way of not blocking in (accept, a read of a terminal) is made when
// poll has said that it will find something. Another process that shares the file, or a thread
// without a hub, may be faster: then the call blocks the thread, for nothing and maybe for ever.
// Rescue calls it back.
//
//   the hub's thread                          the watch, a worker's thread
//   Rescue: "calling" --> accept() blocks     looks each few ms while there are such calls
//   EINTR <-- the handler, which does nothing <-- a signal to the thread that is calling
//
// A call that finds something costs two atomic exchanges more. One that a signal meets on its way
// has lost nothing: it takes what is there, or says EINTR. The signal is one that glibc keeps for
// itself (32, of pthread_cancel, whose handler is called for what is not ours): no program sees,
// blocks or sets it.

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace fern::monkey {

class Rescue {
 public:
  Rescue() noexcept;
  Rescue(const Rescue&) = delete;
  Rescue& operator=(const Rescue&) = delete;
  ~Rescue() { end(); }

  // end() ends the call, and asks whether it was called back. No signal comes after it.
  bool end() noexcept;

 private:
  std::atomic<unsigned>* state_;
};

// rescued() makes such a call: EAGAIN where it was called back.
template <class Call>
auto rescued(Call call) noexcept {
  Rescue rescue;
  auto result = call();
  int error = errno;
  bool called_back = rescue.end();
  errno = called_back && result < 0 && error == EINTR ? EAGAIN : error;
  return result;
}

// So many calls have been called back, for tests.
std::uint64_t rescues() noexcept;

}  // namespace fern::monkey
