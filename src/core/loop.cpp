#include "core/loop.hpp"

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/native.hpp"
#include "base/real.hpp"
#include "core/crowd.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <uv.h>

#include <cerrno>
#include <ctime>
#include <limits>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

namespace fern::core {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// With those of our own one less than a batch of libuv's.
constexpr std::size_t most_in_libuv = 1000;

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::system_category(), what);
}

int to_uv(unsigned readiness) noexcept {
  int events = 0;
  if ((readiness & readable) != 0) events |= UV_READABLE;
  if ((readiness & writable) != 0) events |= UV_WRITABLE;
  return events;
}

std::uint32_t to_epoll(unsigned readiness) noexcept {
  std::uint32_t events = 0;
  if ((readiness & readable) != 0) events |= EPOLLIN;
  if ((readiness & writable) != 0) events |= EPOLLOUT;
  return events;
}

}  // namespace

class Loop::Watch {
 public:
  uv_poll_t handle;  // first, so that its address is ours; unused in the crowd
  int fd;
  bool crowded;
  unsigned armed = 0;
  void* owner;
  Ready ready;
  Watch* next_fresh = nullptr;    // in State::fresh: those armed since the last poll
  Watch** fresh_place = nullptr;  // what points to it there; null when it is not in the list

  void add_to(Watch*& fresh) noexcept {
    if (fresh_place != nullptr) return;
    next_fresh = fresh;
    if (fresh != nullptr) fresh->fresh_place = &next_fresh;
    fresh_place = &fresh;
    fresh = this;
  }
  void leave_fresh() noexcept {
    if (fresh_place == nullptr) return;
    *fresh_place = next_fresh;
    if (next_fresh != nullptr) next_fresh->fresh_place = fresh_place;
    fresh_place = nullptr;
  }
};

class Loop::Signal {
 public:
  uv_signal_t handle;
  void* owner;
  Raised raised;
};

struct Loop::State {
  uv_loop_t loop;
  uv_poll_t* wake_handle = nullptr;
  uv_poll_t* timer_handle = nullptr;
  uv_poll_t* crowd_handle = nullptr;  // null until there is a crowd
  int wake_fd = -1;
  int timer_fd = -1;
  std::int64_t timer_at = never;  // what the timerfd is set to
  Watch* fresh = nullptr;
  std::size_t in_libuv = 0;  // watches
  Crowd crowd{this, on_crowd};

  void open();
  void close() noexcept;
  bool check_fresh() noexcept;
  int open_crowd() noexcept;
  void close_crowd() noexcept;
  static void close_handle(uv_poll_t* handle) noexcept;
  int add(Watch& watch) noexcept;
  static void on_crowd(void* self, void* watch, std::uint32_t events) noexcept;
  static void on_wake(uv_poll_t* handle, int status, int events) noexcept;
  static void on_timer(uv_poll_t* handle, int status, int events) noexcept;
};

void Loop::State::on_wake(uv_poll_t* handle, int, int) noexcept {
  auto* state = static_cast<State*>(handle->data);
  std::uint64_t count;
  while (real::read(state->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

// Setting the timerfd anew clears its readiness, so that it need not be read.
void Loop::State::on_timer(uv_poll_t* handle, int, int) noexcept {
  auto* state = static_cast<State*>(handle->data);
  itimerspec off{};
  real::timerfd_settime(state->timer_fd, 0, &off, nullptr);
  state->timer_at = never;
}

void Loop::State::open() {
  auto wakes = std::make_unique<uv_poll_t>();
  auto timers = std::make_unique<uv_poll_t>();
  wake_fd = real::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  timer_fd = real::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (wake_fd < 0 || timer_fd < 0) {
    int error = errno;
    if (wake_fd >= 0) real::close(wake_fd);
    if (timer_fd >= 0) real::close(timer_fd);
    fail(error, "fern::Hub::current(): cannot make a hub");
  }
  timer_at = never;
  wake_handle = wakes.release();
  timer_handle = timers.release();
  wake_handle->data = timer_handle->data = this;
  uv_poll_init(&loop, wake_handle, wake_fd);
  uv_poll_init(&loop, timer_handle, timer_fd);
  uv_poll_start(wake_handle, UV_READABLE, on_wake);
  uv_poll_start(timer_handle, UV_READABLE, on_timer);
}

// Freed at the next poll.
void Loop::State::close_handle(uv_poll_t* handle) noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<uv_poll_t*>(closed); });
}

void Loop::State::close_crowd() noexcept {
  if (crowd_handle == nullptr) return;
  close_handle(std::exchange(crowd_handle, nullptr));
  crowd.close();
}

void Loop::State::close() noexcept {
  close_handle(wake_handle);
  close_handle(timer_handle);
  close_crowd();
  real::close(wake_fd);
  real::close(timer_fd);
}

int Loop::State::open_crowd() noexcept {
  if (crowd_handle != nullptr) return 0;
  auto handle = std::unique_ptr<uv_poll_t>(new (std::nothrow) uv_poll_t);
  if (handle == nullptr) return ENOMEM;
  if (int error = crowd.open(); error != 0) return error;
  if (int error = uv_poll_init(&loop, handle.get(), crowd.fd()); error != 0) {
    crowd.close();
    return -error;
  }
  crowd_handle = handle.release();
  crowd_handle->data = this;
  uv_poll_start(crowd_handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<State*>(handle->data)->crowd.collect();
  });
  return 0;
}

Loop::Loop() : state_(new State) {
  base::NativeScope native;
  if (int error = uv_loop_init(&state_->loop); error != 0) {
    fail(-error, "fern::Hub::current(): cannot make a hub");
  }
  try {
    state_->open();
  } catch (...) {
    uv_loop_close(&state_->loop);
    throw;
  }
}

Loop::~Loop() {
  base::NativeScope native;
  state_->close();
  // Whatever is still watched belongs to greenlets that refused to end.
  uv_walk(
      &state_->loop,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle)) return;
        if (handle->type == UV_POLL) {
          uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<Watch*>(closed); });
        } else if (handle->type == UV_SIGNAL) {
          uv_close(handle, [](uv_handle_t* closed) { delete static_cast<Signal*>(closed->data); });
        }
      },
      nullptr);
  state_->crowd.for_each([](void* watch) { delete static_cast<Watch*>(watch); });
  uv_run(&state_->loop, UV_RUN_NOWAIT);
  uv_loop_close(&state_->loop);
}

// Registers what was armed since the last poll, or sees to it that libuv can, which aborts the
// program if a descriptor has been closed by then, by whoever: those who wait for it are woken
// instead, and their calls will tell. True when there was one.
bool Loop::State::check_fresh() noexcept {
  bool any = false;
  while (fresh != nullptr) {
    Watch& watch = *fresh;
    watch.leave_fresh();
    if (watch.armed == 0) continue;
    if (watch.crowded) {
      if (open_crowd() == 0 && crowd.ask(watch.fd, to_epoll(watch.armed)) == 0) continue;
    } else {
      if (real::fcntl(watch.fd, F_GETFD, 0) >= 0) continue;
      uv_poll_stop(&watch.handle);
    }
    watch.armed = 0;
    watch.ready(watch.owner, readable | writable | errored);
    any = true;
  }
  return any;
}

void Loop::State::on_crowd(void* self, void* member, std::uint32_t events) noexcept {
  auto& state = *static_cast<State*>(self);
  auto& watch = *static_cast<Watch*>(member);
  unsigned readiness = 0;
  if ((events & EPOLLIN) != 0) readiness |= readable;
  if ((events & EPOLLOUT) != 0) readiness |= writable;
  if ((events & EPOLLHUP) != 0) readiness |= watch.armed;
  if ((events & EPOLLERR) != 0) readiness = readable | writable | errored;  // as libuv has it
  if ((events & EPOLLERR) != 0 || watch.armed == 0) {
    state.crowd.ask(watch.fd, 0);
    watch.armed = 0;
  }
  watch.ready(watch.owner, readiness);
}

void Loop::poll(bool block, std::int64_t deadline) noexcept {
  base::NativeScope native;
  State& state = *state_;
  if (state.fresh != nullptr && state.check_fresh()) block = false;
  if (block && deadline < state.timer_at) {
    itimerspec at{};
    at.it_value.tv_sec = deadline / 1'000'000'000;
    at.it_value.tv_nsec = deadline % 1'000'000'000;
    if (deadline <= 0) at.it_value.tv_nsec = 1;  // all zero would disarm
    real::timerfd_settime(state.timer_fd, TFD_TIMER_ABSTIME, &at, nullptr);
    state.timer_at = deadline;
  }
  uv_run(&state.loop, block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void Loop::wake_up() noexcept {
  int saved = errno;
  std::uint64_t one = 1;
  while (real::write(state_->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
  errno = saved;
}

int Loop::State::add(Watch& watch) noexcept {
  watch.crowded = in_libuv >= most_in_libuv;
  if (watch.crowded) {
    int error = open_crowd();
    return error != 0 ? error : crowd.join(watch.fd, &watch);
  }
  if (int error = uv_poll_init(&loop, &watch.handle, watch.fd); error != 0) return -error;
  ++in_libuv;
  return 0;
}

Loop::Watch* Loop::watch(int fd, void* owner, Ready ready) noexcept {
  base::NativeScope native;
  auto watch = std::unique_ptr<Watch>(new (std::nothrow) Watch{{}, fd, false, 0, owner, ready});
  int error = watch == nullptr ? ENOMEM : state_->add(*watch);
  if (error == 0) return watch.release();
  errno = error;
  return nullptr;
}

void Loop::arm(Watch& watch, unsigned readiness) noexcept {
  base::NativeScope native;
  if (watch.armed == readiness) return;
  watch.armed = readiness;
  if (readiness == 0) {
    if (watch.crowded) {
      state_->crowd.ask(watch.fd, 0);
    } else {
      uv_poll_stop(&watch.handle);
    }
    return;
  }
  watch.add_to(state_->fresh);
  if (watch.crowded) return;
  uv_poll_start(&watch.handle, to_uv(readiness), [](uv_poll_t* handle, int status, int events) {
    auto* watch = reinterpret_cast<Watch*>(handle);
    unsigned readiness = 0;
    if ((events & UV_READABLE) != 0) readiness |= readable;
    if ((events & UV_WRITABLE) != 0) readiness |= writable;
    if (status < 0) {
      // libuv says EBADF for any EPOLLERR, and has stopped the handle.
      watch->armed = 0;
      readiness = readable | writable | errored;
    }
    watch->ready(watch->owner, readiness);
  });
}

void Loop::unwatch(Watch& watch) noexcept {
  base::NativeScope native;
  watch.leave_fresh();
  if (watch.crowded) {
    state_->crowd.leave(watch.fd);
    delete &watch;
  } else {
    --state_->in_libuv;
    // Stops at once; the memory is libuv's until it says so.
    uv_close(reinterpret_cast<uv_handle_t*>(&watch.handle),
             [](uv_handle_t* handle) { delete reinterpret_cast<Watch*>(handle); });
  }
  if (state_->crowd.empty() && state_->in_libuv < most_in_libuv / 2) state_->close_crowd();
}

Loop::Signal* Loop::listen(int number, void* owner, Raised raised) noexcept {
  base::NativeScope native;
  auto* signal = new (std::nothrow) Signal{{}, owner, raised};
  if (signal == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  uv_signal_init(&state_->loop, &signal->handle);
  signal->handle.data = signal;
  int error = uv_signal_start(
      &signal->handle,
      [](uv_signal_t* handle, int raised_number) {
        auto* self = static_cast<Signal*>(handle->data);
        self->raised(self->owner, raised_number);
      },
      number);
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
}

// The eventfd and the timerfd are shared with the parent: a child that read them would take the
// parent's wake-ups. Nothing runs here: this may be a small stack. All that is armed is registered
// anew at the next poll.
void Loop::forked() noexcept {
  base::NativeScope native;
  State& state = *state_;
  FERN_ASSERT(uv_loop_fork(&state.loop) == 0, "fern::core::Loop::forked(): libuv refused");
  state.close();
  auto add = [](uv_handle_t* handle, void* state) {
    if (handle->type != UV_POLL || uv_is_closing(handle)) return;
    reinterpret_cast<Watch*>(handle)->add_to(static_cast<State*>(state)->fresh);
  };
  uv_walk(&state.loop, add, &state);
  state.crowd.for_each([&](void* watch) { static_cast<Watch*>(watch)->add_to(state.fresh); });
  state.open();
}

}  // namespace fern::core
