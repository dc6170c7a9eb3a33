#include "core/end_watch.hpp"
#include "core/wait_queue.hpp"
#include "sync/held.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/semaphore.hpp>
#include <fern/waitable.hpp>

#include <deque>
#include <optional>
#include <utility>

namespace fern {

Waitable::Waitable(Event& event) noexcept
    : signal_{&event.lock_, &event.waiters_, Event::set_bit} {}

Waitable::Waitable(Semaphore& semaphore) noexcept
    : signal_{&semaphore.lock_, &semaphore.queue_, Semaphore::one, Semaphore::waiters} {}

Waitable::Waitable(AnyGreenlet greenlet) : greenlet_(std::move(greenlet)) {
  if (!greenlet_.valid()) throw GreenletError("Waitable: a handle is empty");
}

Waitable::Waitable(std::shared_ptr<detail::AsyncState> result) noexcept
    : signal_{&result->lock_, &result->waiters_, detail::AsyncState::ready_bit},
      result_(std::move(result)) {}

bool Waitable::ready() const noexcept {
  return greenlet_.valid() ? greenlet_.ready() : signal_.ready();
}

std::exception_ptr Waitable::exception() const noexcept {
  if (greenlet_.valid()) return greenlet_.exception();
  if (result_ == nullptr || result_->value() != nullptr) return nullptr;
  return result_->exception();
}

namespace detail {

using core::Hub;

// One thing that is watched. It is in its object's queue until it is handed out.
struct Watch::Watched : Waiter {
  Watched(Waitable thing, State& state, std::size_t index) noexcept
      : thing(std::move(thing)), state(state), index(index) {}

  Waitable thing;
  State& state;
  std::size_t index;
  Watched* next_ready = nullptr;
  bool linked = false;
  std::optional<core::EndWatch> end;
};

struct Watch::State {
  std::deque<Watched> all;
  Watched* first_ready = nullptr;  // in the order in which they became so
  Watched* last_ready = nullptr;
  std::size_t given = 0;
  core::Greenlet* parked = nullptr;  // in next()

  ~State() {
    for (Watched& watched : all) leave(watched);
  }

  // In the hub's thread.
  void add_ready(Watched& watched) noexcept {
    (first_ready == nullptr ? first_ready : last_ready->next_ready) = &watched;
    last_ready = &watched;
    if (parked != nullptr) Hub::wake(*parked, core::Wake::Notified);
  }

  void enter(Watched& watched, Hub& hub) {
    watched.hub = &hub;
    watched.greenlet = &hub.running();
    watched.watch = [](Waiter& waiter) noexcept {
      auto& self = static_cast<Watched&>(waiter);
      self.state.add_ready(self);
    };
    if (core::Greenlet* greenlet = WaitableAccess::greenlet(watched.thing)) {
      enter(watched, *greenlet);
      return;
    }
    const Signal& signal = WaitableAccess::signal(watched.thing);
    sync::Held hold(*signal.lock, *signal.queue, signal.waiters);
    if (signal.ready()) {
      add_ready(watched);
    } else {
      signal.queue->link(watched);
      watched.linked = true;
    }
  }

  void enter(Watched& watched, core::Greenlet& greenlet) {
    if (core::is_dead(greenlet)) {
      add_ready(watched);
      return;
    }
    watched.end.emplace(
        greenlet,
        [](void* context) noexcept {
          auto& self = *static_cast<Watched*>(context);
          self.state.add_ready(self);
        },
        &watched);
  }

  void leave(Watched& watched) noexcept {
    watched.end.reset();
    if (!std::exchange(watched.linked, false)) return;
    {
      const Signal& signal = WaitableAccess::signal(watched.thing);
      sync::Held hold(*signal.lock, *signal.queue, signal.waiters);
      signal.queue->unlink(watched);
    }
    WaitQueue::stay(watched, "wait()");
  }
};

Watch::Watch(std::vector<Waitable> things) : state_(std::make_unique<State>()) {
  Hub& hub = Hub::current();
  for (Waitable& thing : things) {
    state_->enter(state_->all.emplace_back(std::move(thing), *state_, state_->all.size()), hub);
  }
}

Watch::~Watch() = default;

std::size_t Watch::next(Deadline deadline) {
  State& state = *state_;
  if (state.given == state.all.size()) return none;
  while (state.first_ready == nullptr) {
    if (deadline == Deadline::past()) return none;
    Hub& hub = Hub::current();
    struct Parked {
      State& state;
      ~Parked() { state.parked = nullptr; }
    } parked{state};
    state.parked = &hub.running();
    bool late = hub.park("wait()", -1, deadline) == core::Wake::TimedOut;
    if (late && state.first_ready == nullptr) return none;
  }
  Watched& ready = *state.first_ready;
  state.first_ready = ready.next_ready;
  ++state.given;
  state.leave(ready);
  return ready.index;
}

std::vector<std::size_t> wait_many(std::vector<Waitable> things, const JoinOptions& options) {
  std::vector<std::size_t> ready;
  Watch watch(things);
  while (ready.size() < options.count) {
    std::size_t i = watch.next(options.deadline);
    if (i == Watch::none) break;
    std::exception_ptr error = options.raise_error ? things[i].exception() : nullptr;
    if (error != nullptr) std::rethrow_exception(std::move(error));
    ready.push_back(i);
  }
  return ready;
}

}  // namespace detail
}  // namespace fern
