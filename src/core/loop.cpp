#include "core/loop.hpp"

#include "base/assert.hpp"
#include "base/native.hpp"
#include "base/real.hpp"
#include "core/context.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <uv.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>
#include <vector>

namespace fern::core {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void fail(int error) {
  throw std::system_error(error, std::system_category(), "fern::Hub::current(): cannot make a hub");
}

epoll_event event_of(const Watch& watch, unsigned readiness) noexcept {
  epoll_event event{};
  if ((readiness & readable) != 0) event.events |= EPOLLIN;
  if ((readiness & writable) != 0) event.events |= EPOLLOUT;
  if (watch.edge) event.events |= EPOLLET | EPOLLRDHUP | EPOLLPRI;
  event.data.u64 = std::uint64_t{watch.tag} << 32 | static_cast<std::uint32_t>(watch.fd);
  return event;
}

// libuv closes by system calls that TSan does not see. A number that one loop's end has freed and
// another's beginning has got is a race to it, unless the two are ordered.
struct OrderOfNumbers {
#ifdef FERN_TSAN
  OrderOfNumbers() noexcept { mutex.lock(); }
  ~OrderOfNumbers() { mutex.unlock(); }
  static inline std::mutex mutex;
#else
  OrderOfNumbers() noexcept {}
#endif
};

int fd_of(const epoll_event& event) noexcept { return static_cast<int>(event.data.u64); }
std::uint32_t tag_of(const epoll_event& event) noexcept {
  return static_cast<std::uint32_t>(event.data.u64 >> 32);
}

}  // namespace

class Loop::Signal {
 public:
  uv_signal_t handle;
  void* owner;
  Raised raised;
};

struct Loop::State {
  // What the loop has in its own set.
  struct Own : Watch {
    State* state = nullptr;
  };

  uv_loop_t uv;
  Own wakes, timer, libuv;
  int set = -1;
  std::int64_t timer_at = never;  // what the timerfd is set to
  bool uv_waits = false;          // libuv has something to do before it can be waited for
  bool haunted = false;           // the set tells of what cannot be taken out
  bool left = false;              // a watch has, in this poll
  std::uint32_t tags = 0;         // given so far
  std::vector<Watch*> watches;    // at their descriptor's number; null for none
  std::size_t count = 0;          // of them
  std::vector<epoll_event> events;

  int open() noexcept;
  void close() noexcept;
  void run_libuv() noexcept;
  Watch* find(int fd) const noexcept {
    auto place = static_cast<std::size_t>(fd);
    return place < watches.size() ? watches[place] : nullptr;
  }
  int enter(Watch& watch, int fd, Watch::Ready ready) noexcept;
  void leave(Watch& watch) noexcept;
  int fill(bool tell) noexcept;
  void refill(bool tell) noexcept;  // for a loop at work
  int ask(Watch& watch, unsigned readiness) noexcept;
  bool take_out(int fd) noexcept;
  void renew() noexcept;
  void tell_rare(Watch& watch, std::uint32_t events) noexcept;
  void collect(std::size_t count) noexcept;
};

// A place for one event of each: one call takes all, so that none is served less often.
int Loop::State::enter(Watch& watch, int fd, Watch::Ready ready) noexcept {
  auto place = static_cast<std::size_t>(fd);
  try {
    if (place >= watches.size()) watches.resize(std::max(place + 1, 2 * watches.size()));
    if (count >= events.size()) events.resize(std::max<std::size_t>(64, 2 * count));
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  if (Watch* stale = watches[place]; stale != nullptr) {
    // Closed by others, and we have got its number.
    Watch::Ready told = stale->ready;
    leave(*stale);
    told(*stale, readable | writable | errored);
  }
  watch.fd = fd;
  watch.ready = ready;
  watch.tag = ++tags;
  watches[place] = &watch;
  ++count;
  return 0;
}

void Loop::State::leave(Watch& watch) noexcept {
  watches[static_cast<std::size_t>(watch.fd)] = nullptr;
  --count;
  watch.ready = nullptr;
  watch.armed = 0;
  watch.edge = false;
  left = true;
}

// The kernel knows better than we do whether the descriptor is in the set: somebody may have closed
// it and another have got the number.
int Loop::State::ask(Watch& watch, unsigned readiness) noexcept {
  epoll_event event = event_of(watch, readiness);
  int operation = watch.armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (real::epoll_ctl(set, operation, watch.fd, &event) < 0) {
    if (errno != EEXIST && errno != ENOENT) return errno;
    operation = EPOLL_CTL_MOD;
    if (errno == ENOENT) {
      // Closed by others: what may be left of it in the set is not this one.
      watch.tag = ++tags;
      watch.edge = false;
      event = event_of(watch, readiness);
      operation = EPOLL_CTL_ADD;
    }
    if (real::epoll_ctl(set, operation, watch.fd, &event) < 0) return errno;
  }
  watch.armed = static_cast<std::uint8_t>(readiness);
  return 0;
}

// False when it was not there.
bool Loop::State::take_out(int fd) noexcept {
  int saved = errno;
  epoll_event event{};
  bool taken = real::epoll_ctl(set, EPOLL_CTL_DEL, fd, &event) == 0;
  errno = saved;
  return taken;
}

// Puts all that is armed into a fresh set. What has been closed by others is disarmed, and told if
// asked. The last errno.
int Loop::State::fill(bool tell) noexcept {
  int error = 0;
  haunted = false;
  for (Watch* watch : watches) {
    if (watch == nullptr || watch->armed == 0) continue;
    epoll_event event = event_of(*watch, watch->armed);
    if (real::epoll_ctl(set, EPOLL_CTL_ADD, watch->fd, &event) == 0) continue;
    error = errno;
    watch->armed = 0;
    if (tell) watch->ready(*watch, readable | writable | errored);
  }
  return error;
}

void Loop::State::refill(bool tell) noexcept {
  fill(tell);
  for (Own* own : {&wakes, &timer, &libuv}) {
    FERN_ASSERT(own->armed != 0, "fern::core::Loop: the system refuses to wait");
  }
}

// 0, or an errno and nothing is open.
int Loop::State::open() noexcept {
  set = real::epoll_create1(EPOLL_CLOEXEC);
  wakes.fd = real::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  timer.fd = real::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  timer_at = never;
  int error = set < 0 || wakes.fd < 0 || timer.fd < 0 ? errno : 0;
  auto on_wake = [](Watch& watch, unsigned) noexcept {
    std::uint64_t count;
    while (real::read(watch.fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
  };
  // Setting the timerfd anew clears its readiness, so that it need not be read.
  auto on_timer = [](Watch& watch, unsigned) noexcept {
    itimerspec off{};
    real::timerfd_settime(watch.fd, 0, &off, nullptr);
    static_cast<Own&>(watch).state->timer_at = never;
  };
  auto on_libuv = [](Watch& watch, unsigned) noexcept {
    static_cast<Own&>(watch).state->run_libuv();
  };
  if (error == 0) error = enter(wakes, wakes.fd, on_wake);
  if (error == 0) error = enter(timer, timer.fd, on_timer);
  if (error == 0) error = enter(libuv, uv_backend_fd(&uv), on_libuv);
  for (Own* own : {&wakes, &timer, &libuv}) {
    own->state = this;
    own->armed = readable;
  }
  if (error != 0) close();
  return error;
}

void Loop::State::close() noexcept {
  for (Own* own : {&wakes, &timer, &libuv}) {
    if (own->watched()) leave(*own);
    if (own != &libuv && own->fd >= 0) real::close(own->fd);
  }
  if (set >= 0) real::close(set);
}

void Loop::State::run_libuv() noexcept {
  base::NativeScope native;
  uv_waits = false;
  uv_run(&uv, UV_RUN_NOWAIT);
}

Loop::Loop() : state_(new State) {
  OrderOfNumbers order;
  base::NativeScope native;
  if (int error = uv_loop_init(&state_->uv); error != 0) fail(-error);
  int error = state_->open();
  if (error == 0) {
    error = state_->fill(false);
    if (error != 0) state_->close();
  }
  if (error != 0) {
    uv_loop_close(&state_->uv);
    fail(error);
  }
}

Loop::~Loop() {
  OrderOfNumbers order;
  base::NativeScope native;
  state_->close();
  uv_walk(
      &state_->uv,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) || handle->type != UV_SIGNAL) return;
        uv_close(handle, [](uv_handle_t* closed) { delete static_cast<Signal*>(closed->data); });
      },
      nullptr);
  uv_run(&state_->uv, UV_RUN_NOWAIT);
  uv_loop_close(&state_->uv);
}

// What a set tells of but cannot be asked to forget, because the descriptor has been closed by
// others while a duplicate lives, is left behind with it.
void Loop::State::renew() noexcept {
  int fresh = real::epoll_create1(EPOLL_CLOEXEC);
  if (fresh < 0) return;
  // Under the old number: its own may be the one whose callers are about to learn that it is
  // closed.
  bool replaced = real::dup3(fresh, set, O_CLOEXEC) >= 0;
  real::close(fresh);
  haunted = !replaced;
  if (replaced) refill(true);
}

// Apart from what is told most: that there is something to read.
__attribute__((noinline)) void Loop::State::tell_rare(Watch& watch, std::uint32_t events) noexcept {
  unsigned readiness = 0;
  if ((events & EPOLLIN) != 0) readiness |= readable;
  if ((events & EPOLLOUT) != 0) readiness |= writable;
  if ((events & EPOLLHUP) != 0) readiness |= watch.armed;
  if (watch.edge && (events & (EPOLLHUP | EPOLLRDHUP)) != 0) readiness |= ended;
  if (watch.edge && (events & EPOLLPRI) != 0) readiness |= urgent;
  if ((events & EPOLLERR) != 0) {
    // It would be told again and again.
    readiness |= readable | writable | errored;
    if (!take_out(watch.fd)) haunted = true;
    watch.armed = 0;
  }
  watch.ready(watch, readiness);
}

// Who is told may watch more, and unwatch whatever stands behind it: that of the same poll is no
// ghost.
void Loop::State::collect(std::size_t ready) noexcept {
  constexpr std::size_t far = 8;
  constexpr std::size_t near = 4;
  left = false;
  for (std::size_t i = 0; i < ready; ++i) {
    if (i + far < ready) __builtin_prefetch(find(fd_of(events[i + far])));
    if (i + near < ready) {
      if (const Watch* soon = find(fd_of(events[i + near]))) __builtin_prefetch(soon->reader, 1);
    }
    epoll_event event = events[i];
    Watch* watch = find(fd_of(event));
    if (watch == nullptr || watch->tag != tag_of(event)) [[unlikely]] {
      haunted |= !left;
    } else if (watch->armed != 0) {
      if (event.events == EPOLLIN) [[likely]] {
        watch->ready(*watch, readable);
      } else {
        tell_rare(*watch, event.events);
      }
    }
  }
  if (haunted) [[unlikely]]
    renew();
}

void Loop::poll(bool block, std::int64_t deadline) noexcept {
  State& state = *state_;
  if (state.uv_waits) [[unlikely]] {
    state.run_libuv();
    block = false;  // it may have told somebody
  }
  if (block && deadline < state.timer_at) {
    itimerspec at{};
    at.it_value.tv_sec = deadline / 1'000'000'000;
    at.it_value.tv_nsec = deadline % 1'000'000'000;
    if (deadline <= 0) at.it_value.tv_nsec = 1;  // all zero would disarm
    real::timerfd_settime(state.timer.fd, TFD_TIMER_ABSTIME, &at, nullptr);
    state.timer_at = deadline;
  }
  int ready = real::epoll_wait(state.set, state.events.data(),
                               static_cast<int>(state.events.size()), block ? -1 : 0);
  FERN_ASSERT(ready >= 0 || errno == EINTR,
              "fern::core::Loop::poll(): somebody has closed the loop's descriptors");
  if (ready > 0) state.collect(static_cast<std::size_t>(ready));
}

void Loop::wake_up() noexcept {
  int saved = errno;
  std::uint64_t one = 1;
  while (real::write(state_->wakes.fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
  errno = saved;
}

int Loop::watch(Watch& watch, int fd, unsigned readiness, Watch::Ready ready) noexcept {
  State& state = *state_;
  if (int error = state.enter(watch, fd, ready); error != 0) return error;
  int error = state.ask(watch, readiness);
  if (error != 0) state.leave(watch);
  return error;
}

int Loop::arm(Watch& watch, unsigned readiness) noexcept {
  if (watch.armed == readiness) return 0;
  int error = 0;
  if (readiness != 0) {
    error = state_->ask(watch, readiness);
    if (error == 0) return 0;
  } else if (state_->take_out(watch.fd)) {
    watch.armed = 0;
    return 0;
  }
  if (watch.armed != 0) state_->haunted = true;
  watch.armed = 0;
  return error;
}

void Loop::set_edge(Watch& watch, bool edge) noexcept {
  if (watch.edge == edge) return;
  watch.edge = edge;
  if (watch.armed == 0) return;
  epoll_event event = event_of(watch, watch.armed);
  if (real::epoll_ctl(state_->set, EPOLL_CTL_MOD, watch.fd, &event) < 0) watch.edge = !edge;
}

void Loop::unwatch(Watch& watch) noexcept {
  if (watch.armed != 0) state_->take_out(watch.fd);
  state_->leave(watch);
}

Loop::Signal* Loop::listen(int number, void* owner, Raised raised) noexcept {
  base::NativeScope native;
  auto* signal = new (std::nothrow) Signal{{}, owner, raised};
  if (signal == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  int error = uv_signal_init(&state_->uv, &signal->handle);
  if (error != 0) {
    delete signal;
    errno = -error;
    return nullptr;
  }
  signal->handle.data = signal;
  error = uv_signal_start(
      &signal->handle,
      [](uv_signal_t* handle, int raised_number) {
        auto* self = static_cast<Signal*>(handle->data);
        self->raised(self->owner, raised_number);
      },
      number);
  state_->uv_waits = true;
  if (error != 0) {
    unlisten(*signal);
    errno = -error;
    return nullptr;
  }
  return signal;
}

void Loop::unlisten(Signal& signal) noexcept {
  base::NativeScope native;
  uv_close(reinterpret_cast<uv_handle_t*>(&signal.handle),
           [](uv_handle_t* handle) { delete static_cast<Signal*>(handle->data); });
  state_->uv_waits = true;
}

// The eventfd and the timerfd are shared with the parent: a child that read them would take the
// parent's wake-ups. Little runs here: this may be a small stack.
void Loop::forked() noexcept {
  base::NativeScope native;
  State& state = *state_;
  FERN_ASSERT(uv_loop_fork(&state.uv) == 0, "fern::core::Loop::forked(): libuv refused");
  state.close();
  state.uv_waits = true;
  FERN_ASSERT(state.open() == 0, "fern::core::Loop::forked(): cannot make a hub");
  state.refill(false);
}

}  // namespace fern::core
