#pragma once

// A Timer calls a function after a while, in a greenlet of its own, unless it is called off:
//
//   fern::Timer reminder(5s, [] { std::cout << "are you still there?\n"; });
//   if (ask()) reminder.cancel();
//
//   fern::Timer idle(30s, [&] { connection.close(); });
//   while (auto message = connection.next()) {
//     idle.restart(30s);                           // from now on
//     handle(*message);
//   }
//
// A Timer that goes calls off what has not begun, as if by cancel(); a function that has begun runs
// on. It may wait, as any greenlet; an exception that leaves it is printed with its name and stops
// nobody else. A Timer does not keep the thread: when that ends, nothing is called any more.
// (threading.Timer, running at once. spawn_later() is the same without a scope.)

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/task.hpp>
#include <fern/greenlet.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace fern {

// Move-only. Made, asked and restarted in the thread of its hub, where the function will run;
// otherwise a GreenletError. It may be cancelled, joined and destroyed in any.
class FERN_API Timer {
 public:
  Timer() noexcept = default;  // of nothing

  // Calls f(args...), both copied or moved, when the time comes: zero is the hub's next look at its
  // timers, never is never. The greenlet's name is "Timer" unless one is given. Never switches; may
  // be made in Hub::post. Throws what spawn() throws.
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  [[nodiscard]] Timer(Deadline when, Fn&& f, Args&&... args)
      : Timer(SpawnOptions{.name = "Timer"}, when, std::forward<Fn>(f),
              std::forward<Args>(args)...) {}
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  [[nodiscard]] Timer(const SpawnOptions& options, Deadline when, Fn&& f, Args&&... args)
      : greenlet_(begin(
            detail::make<void>(options, std::forward<Fn>(f), std::forward<Args>(args)...), when)) {}

  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer() { cancel(); }

  // cancel() keeps the function from being called; true if so, false if it had begun or was called
  // off before. In another thread it only asks the hub to, and is false. Never switches.
  bool cancel() noexcept;

  // restart() moves the time while it is pending; false, and nothing, when it is too late.
  bool restart(Deadline when);

  // pending() asks whether the function is still to be called.
  bool pending() const;

  // join() waits until the function has returned or was called off; false when the deadline passes
  // first. A Timer of nothing is over.
  bool join(Deadline deadline = {}) const;

 private:
  static AnyGreenlet begin(core::Greenlet* block, Deadline when);

  AnyGreenlet greenlet_;
};

}  // namespace fern
