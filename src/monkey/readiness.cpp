// poll, select and epoll_wait: each looks with a time-out of zero, and waits for its descriptors
// together if nothing is ready and its caller would wait.
//
// The signal mask of ppoll, pselect and epoll_pwait: the looks are the kernel's own, with the mask,
// so that a signal that is pending is delivered there, under the mask, or nothing is: that much is
// atomic as natively. While the greenlet is parked the thread keeps its own mask, for others run in
// it; what the call's mask lets in is waited for by a signalfd, and delivered by the next look. A
// signal that only the call's mask holds back may be delivered to others meanwhile.

#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/poll_wait.hpp"
#include "monkey/green.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <fcntl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fern::monkey::green {
namespace {

constexpr timespec no_time{};

timeval to_timeval(std::chrono::nanoseconds time) noexcept {
  auto microseconds = std::chrono::floor<std::chrono::microseconds>(time).count();
  return {microseconds / 1'000'000, microseconds % 1'000'000};
}

// The signals that a mask lets in while the thread holds them back, as something to wait for.
class LetIn {
 public:
  explicit LetIn(const sigset_t* mask) noexcept {
    if (mask == nullptr) return;
    sigset_t held;
    pthread_sigmask(SIG_SETMASK, nullptr, &held);
    bool any = false;
    for (int signal = 1; signal < NSIG; ++signal) {
      if (sigismember(&held, signal) != 1) continue;
      if (sigismember(mask, signal) == 1) {
        sigdelset(&held, signal);
      } else {
        any = true;
      }
    }
    if (any) fd_ = real::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    blind_ = any && fd_ < 0;
  }
  LetIn(const LetIn&) = delete;
  LetIn& operator=(const LetIn&) = delete;
  ~LetIn() {
    if (fd_ >= 0) io::close(fd_, false);
  }

  int fd() const noexcept { return fd_; }
  bool blind() const noexcept { return blind_; }  // no descriptor to be had: look now and then

 private:
  int fd_ = -1;
  bool blind_ = false;
};

// The way of every call below: `add(wait)` adds up to `most` descriptors, `look(wait)` is the call
// with no time. 0 when the Deadline passes.
template <class Add, class Look>
int wait_for_any(const char* what, std::size_t most, Deadline deadline, const sigset_t* mask,
                 Add add, Look look) noexcept {
  LetIn let_in(mask);
  io::PollWait wait(most + 1);
  add(wait);
  wait.add(let_in.fd(), EPOLLIN);
  Ending ending(Interrupts::any_handler);
  for (;;) {
    int error;
    ending.begin();
    if (ending.in_vain() || let_in.blind()) {
      error = rest(what, -1, deadline);
    } else {
      error = wait.park(what, deadline);
    }
    if (!ending.again(error)) return -1;
    int ready = look(wait);
    // Without a mask it is another greenlet's signal.
    while (ready < 0 && errno == EINTR && mask == nullptr) ready = look(wait);
    if (ready != 0 || ending.late()) return ready;
  }
}

Deadline after_ms(int timeout) noexcept {
  return timeout < 0 ? Deadline() : Deadline(std::chrono::milliseconds(timeout));
}

bool zero(const timespec& time) noexcept { return time.tv_sec == 0 && time.tv_nsec == 0; }

Deadline after(const timespec* time) noexcept {
  return time == nullptr ? Deadline() : Deadline(to_chrono(*time));
}

// `now` is the call without time, `at_most` the Deadline, asked for when the call has to wait.
template <class Now, class AtMost>
int poll_until(pollfd* fds, nfds_t count, bool waits, const sigset_t* mask, Now now,
               AtMost at_most) noexcept {
  int ready = now();
  if (!waits) {
    at_once();
    return ready;
  }
  if (ready != 0) {
    fair();
    return ready;
  }
  auto add = [&](io::PollWait& wait) {
    for (nfds_t i = 0; i < count; ++i) wait.add(fds[i].fd, io::poll_events(fds[i].events));
  };
  auto look = [&](const io::PollWait& wait) {
    int found = now();
    for (nfds_t i = 0; found >= 0 && i < count; ++i) {
      if (!wait.closed(i)) continue;
      if (fds[i].revents == 0) ++found;
      fds[i].revents = POLLNVAL;
    }
    return found;
  };
  return wait_for_any("poll()", count, at_most(), mask, add, look);
}

}  // namespace

int poll(pollfd* fds, nfds_t count, int timeout) noexcept {
  return poll_until(
      fds, count, timeout != 0, nullptr, [&] { return real::poll(fds, count, 0); },
      [&] { return after_ms(timeout); });
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) noexcept {
  if (timeout != nullptr && !is_time(timeout)) return native::ppoll(fds, count, timeout, mask);
  return poll_until(
      fds, count, timeout == nullptr || !zero(*timeout), mask,
      [&] { return native::ppoll(fds, count, &no_time, mask); }, [&] { return after(timeout); });
}

namespace {

// The number of descriptors that the kernel's table has room for: select looks at no more, however
// many its caller says, and neither may we: his sets may end there.
int table_size() noexcept {
  int fd = real::open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return INT_MAX;
  std::array<char, 2048> text{};
  ssize_t size = real::read(fd, text.data(), text.size() - 1);
  real::close(fd);
  constexpr char name[] = "FDSize:";
  const char* line = size <= 0 ? nullptr : std::strstr(text.data(), name);
  return line == nullptr ? INT_MAX : std::atoi(line + sizeof name - 1);
}

// What select is asked, and copies to ask the kernel with, for it overwrites them. The user's own
// arrays are as long as his number of descriptors says, which fd_set is not.
class Sets {
 public:
  using Word = unsigned long;

  Sets(int count, fd_set* read, fd_set* write, fd_set* except) noexcept
      : asked_{words_of(read), words_of(write), words_of(except)}, count_(count) {
    if (count_ > FD_SETSIZE) count_ = std::min(count_, table_size());
    words_ = (static_cast<std::size_t>(count_) + bits - 1) / bits;
    all_ = count_ <= FD_SETSIZE ? room_.data() : new (std::nothrow) Word[3 * words_];
  }
  Sets(const Sets&) = delete;
  Sets& operator=(const Sets&) = delete;
  ~Sets() {
    if (all_ != room_.data()) delete[] all_;
  }

  explicit operator bool() const noexcept { return all_ != nullptr; }
  int count() const noexcept { return count_; }

  // copy() is the i-th set anew, null if there is none.
  fd_set* copy(std::size_t i) noexcept {
    if (asked_[i] == nullptr) return nullptr;
    Word* copied = all_ + i * words_;
    std::copy_n(asked_[i], words_, copied);
    return reinterpret_cast<fd_set*>(copied);
  }

  // tell() gives the user what the copies are now; clear() tells him that nothing is ready.
  void tell() noexcept {
    for (std::size_t i = 0; i < 3; ++i) {
      if (asked_[i] != nullptr) std::copy_n(all_ + i * words_, words_, asked_[i]);
    }
  }
  void clear() noexcept {
    for (Word* set : asked_) {
      if (set != nullptr) std::fill_n(set, words_, Word{0});
    }
  }

  std::size_t size() const noexcept {
    std::size_t size = 0;
    for (std::size_t i = 0; i < words_; ++i) {
      size += static_cast<std::size_t>(__builtin_popcountl(word(0, i) | word(1, i) | word(2, i)));
    }
    return size;
  }

  void add_to(io::PollWait& wait) const noexcept {
    constexpr std::uint32_t read = EPOLLIN | EPOLLRDNORM | EPOLLRDBAND;
    constexpr std::uint32_t write = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    for (std::size_t i = 0; i < words_; ++i) {
      Word any = word(0, i) | word(1, i) | word(2, i);
      for (; any != 0; any &= any - 1) {
        auto bit = static_cast<unsigned>(__builtin_ctzl(any));
        std::uint32_t events = 0;
        if ((word(0, i) >> bit & 1) != 0) events |= read;
        if ((word(1, i) >> bit & 1) != 0) events |= write;
        if ((word(2, i) >> bit & 1) != 0) events |= EPOLLPRI;
        wait.add(static_cast<int>(i * bits + bit), events);
      }
    }
  }

 private:
  static constexpr std::size_t bits = sizeof(Word) * CHAR_BIT;

  static Word* words_of(fd_set* set) noexcept { return reinterpret_cast<Word*>(set); }

  // What is asked, without what lies behind the last descriptor.
  Word word(std::size_t set, std::size_t i) const noexcept {
    if (asked_[set] == nullptr) return 0;
    std::size_t rest = static_cast<std::size_t>(count_) - i * bits;
    return asked_[set][i] & (rest >= bits ? ~Word{0} : (Word{1} << rest) - 1);
  }

  std::array<Word*, 3> asked_;
  int count_;
  std::size_t words_;
  Word* all_;
  std::array<Word, 3 * FD_SETSIZE / bits> room_;
};

// `now(count, read, write, except)` is the call without time. The sets stay as they are on an
// error.
template <class Now>
int select_until(Sets& sets, bool waits, Deadline deadline, const sigset_t* mask,
                 Now now) noexcept {
  auto ask = [&] { return now(sets.count(), sets.copy(0), sets.copy(1), sets.copy(2)); };
  int ready = ask();
  if (ready == 0 && waits) {
    std::size_t size = sets.size();
    auto look = [&](const io::PollWait& wait) {
      for (std::size_t i = 0; i < size; ++i) {
        if (!wait.closed(i)) continue;
        errno = EBADF;
        return -1;
      }
      return ask();
    };
    ready = wait_for_any(
        "select()", size, deadline, mask, [&](io::PollWait& wait) { sets.add_to(wait); }, look);
  } else if (waits) {
    fair();
  } else {
    at_once();
  }
  if (ready > 0) sets.tell();
  if (ready == 0) sets.clear();
  return ready;
}

}  // namespace

// As Linux and glibc have it, the rest of the time is written back.
int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) noexcept {
  if (count < 0 || (timeout != nullptr && (timeout->tv_sec < 0 || timeout->tv_usec < 0))) {
    return native::select(count, read, write, except, timeout);
  }
  Deadline deadline;
  if (timeout != nullptr) {
    // Linux takes more than a second of microseconds.
    deadline = to_chrono(
        {timeout->tv_sec + timeout->tv_usec / 1'000'000, timeout->tv_usec % 1'000'000 * 1000});
  }
  bool waits = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_usec != 0;
  Sets sets(count, read, write, except);
  int ready = -1;
  if (sets) {
    ready = select_until(sets, waits, deadline, nullptr,
                         [](int size, fd_set* in, fd_set* out, fd_set* odd) {
                           timeval none{};
                           return native::select(size, in, out, odd, &none);
                         });
  } else {
    errno = ENOMEM;
  }
  if (timeout != nullptr) *timeout = waits ? to_timeval(deadline.remaining()) : timeval{};
  return ready;
}

int pselect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
            const sigset_t* mask) noexcept {
  if (count < 0 || (timeout != nullptr && !is_time(timeout))) {
    return native::pselect(count, read, write, except, timeout, mask);
  }
  Sets sets(count, read, write, except);
  if (!sets) {
    errno = ENOMEM;
    return -1;
  }
  bool waits = timeout == nullptr || !zero(*timeout);
  return select_until(sets, waits, waits ? after(timeout) : Deadline::past(), mask,
                      [mask](int size, fd_set* in, fd_set* out, fd_set* odd) {
                        return native::pselect(size, in, out, odd, &no_time, mask);
                      });
}

namespace {

// epoll_wait with no time does not look at signals: a poll of nothing does. -1 and EINTR when one
// has been let in.
int let_signals_in(const sigset_t* mask) noexcept {
  return mask == nullptr ? 0 : native::ppoll(nullptr, 0, &no_time, mask);
}

// An epoll set is ready when one of its descriptors is: `now` is the call without time.
template <class Now, class AtMost>
int epoll_until(int epoll, bool waits, const sigset_t* mask, Now now, AtMost at_most) noexcept {
  int ready = now();
  if (!waits) {
    at_once();
    return ready;
  }
  if (ready == 0) ready = let_signals_in(mask);
  if (ready != 0) {
    fair();
    return ready;
  }
  auto look = [&](const io::PollWait& wait) {
    if (wait.closed(0)) {
      errno = EBADF;
      return -1;
    }
    int found = now();
    return found == 0 ? let_signals_in(mask) : found;
  };
  return wait_for_any(
      "epoll_wait()", 1, at_most(), mask, [&](io::PollWait& wait) { wait.add(epoll, EPOLLIN); },
      look);
}

}  // namespace

int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout) noexcept {
  return epoll_until(
      epoll, timeout != 0, nullptr, [&] { return native::epoll_wait(epoll, events, capacity, 0); },
      [&] { return after_ms(timeout); });
}

int epoll_pwait(int epoll, epoll_event* events, int capacity, int timeout,
                const sigset_t* mask) noexcept {
  return epoll_until(
      epoll, timeout != 0, mask,
      [&] { return native::epoll_pwait(epoll, events, capacity, 0, mask); },
      [&] { return after_ms(timeout); });
}

int epoll_pwait2(int epoll, epoll_event* events, int capacity, const timespec* timeout,
                 const sigset_t* mask) noexcept {
  if (timeout != nullptr && !is_time(timeout)) {
    return native::epoll_pwait2(epoll, events, capacity, timeout, mask);
  }
  return epoll_until(
      epoll, timeout == nullptr || !zero(*timeout), mask,
      [&] { return native::epoll_pwait2(epoll, events, capacity, &no_time, mask); },
      [&] { return after(timeout); });
}

}  // namespace fern::monkey::green
