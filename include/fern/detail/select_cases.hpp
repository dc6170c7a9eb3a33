#pragma once

// The cases of a select: what each does when it is tried, and afterwards.

#include <fern/channel.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/queue_core.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/errors.hpp>
#include <fern/queue.hpp>
#include <fern/waitable.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace fern::detail {

// Case is one of a select, on its stack.
class FERN_API Case {
 public:
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  void enable(bool on) noexcept { off_ = !on; }

 protected:
  explicit Case(const Signal& signal, core::Greenlet* greenlet = nullptr,
                Deadline due = {}) noexcept
      : signal_(signal), greenlet_(greenlet), due_(due) {}
  ~Case() = default;

  Signal signal_;  // what to lock, and where to wait; nothing for a greenlet and a deadline
  core::Greenlet* greenlet_;
  Deadline due_;
  Waiter waiter_;

 private:
  friend class Selection;

  // attempt() does it if it can be done at once. The locks of all cases are held.
  virtual bool attempt() = 0;
  // When it was done unlocked() is called as soon as the locks are free, and finish() when nothing
  // of the wait is left.
  virtual void unlocked() noexcept {}
  virtual void finish(Deadline) noexcept {}

  bool off_ = false;
  bool linked_ = false;
};

// select_one() gives the index of the case that happened, or none when the deadline passes first.
// `locks` is room for as many.
inline constexpr std::size_t no_case = static_cast<std::size_t>(-1);
FERN_API std::size_t select_one(Case** cases, SpinLock** locks, std::size_t count,
                                Deadline deadline);

class FERN_API QueueCase : public Case {
 protected:
  QueueCase(QueueCore& core, QueueCore::Side side, void* item, QueueCore::Move move) noexcept
      : Case({&core.lock(), &core.line(side)}), core_(core), side_(side), move_(move) {
    waiter_.item = item;
  }
  ~QueueCase() = default;

  bool closed() const noexcept { return closed_; }

 private:
  bool attempt() final;
  void unlocked() noexcept final;
  void finish(Deadline deadline) noexcept final;
  virtual void move_kept() = 0;  // into, or out of, what the queue keeps

  QueueCore& core_;
  QueueCore::Side side_;
  bool closed_ = false;
  QueueCore::Move move_;
  QueueCore::Met met_;
};

struct Nothing {
  void operator()() const noexcept {}
};
struct Refuse {
  [[noreturn]] void operator()() const { throw QueueClosed(); }
};

template <class Source, class Fn, class Closed>
class GetCase final : public QueueCase {
  using T = typename Source::value_type;

 public:
  GetCase(Source& source, Fn&& f, Closed&& closed)
      : QueueCase(QueueAccess::core(source), QueueCore::Side::Get, &value_,
                  QueueAccess::hand_over<T>),
        source_(source),
        f_(std::forward<Fn>(f)),
        closed_f_(std::forward<Closed>(closed)) {}

  void run() {
    if (closed()) {
      std::invoke(closed_f_);
    } else {
      std::invoke(f_, *std::move(value_));
    }
  }

 private:
  void move_kept() override { QueueAccess::take(source_, value_); }

  Source& source_;
  std::optional<T> value_;
  Fn f_;
  Closed closed_f_;
};

// Value is T, or T&& for a value that stays with the caller until it is put.
template <class Source, class Value, class Fn>
class PutCase final : public QueueCase {
  using T = typename Source::value_type;

 public:
  template <class V>
  PutCase(Source& source, V&& value, Fn&& f)
      : QueueCase(QueueAccess::core(source), QueueCore::Side::Put, nullptr,
                  QueueAccess::hand_over<T>),
        source_(source),
        value_(std::forward<V>(value)),
        f_(std::forward<Fn>(f)) {
    waiter_.item = &value_;
  }

  void run() {
    if (closed()) throw QueueClosed();
    std::invoke(f_);
  }

 private:
  void move_kept() override { QueueAccess::put(source_, std::move(value_)); }

  Source& source_;
  Value value_;
  Fn f_;
};

class FERN_API ReadyCase : public Case {
 protected:
  explicit ReadyCase(Waitable thing) noexcept;
  ~ReadyCase() = default;

 private:
  bool attempt() final;

  Waitable thing_;
};

template <class Fn>
class OnReady final : public ReadyCase {
 public:
  OnReady(Waitable thing, Fn&& f) : ReadyCase(std::move(thing)), f_(std::forward<Fn>(f)) {}
  void run() { std::invoke(f_); }

 private:
  Fn f_;
};

template <class Handle, class Fn>
class OnResult final : public ReadyCase {
 public:
  OnResult(const Handle& handle, Fn&& f)
      : ReadyCase(handle), handle_(handle), f_(std::forward<Fn>(f)) {}
  void run() { std::invoke(f_, handle_.get()); }

 private:
  Handle handle_;
  Fn f_;
};

template <class Fn>
class OnDeadline final : public Case {
 public:
  OnDeadline(Deadline due, Fn&& f) : Case({}, nullptr, due), f_(std::forward<Fn>(f)) {}
  void run() { std::invoke(f_); }

 private:
  bool attempt() override { return false; }

  Fn f_;
};

template <class Source>
inline constexpr bool selectable = false;
template <class T, class Items>
inline constexpr bool selectable<Queue<T, Items>> = true;
template <class T>
inline constexpr bool selectable<Channel<T>> = true;
template <class Source>
concept Selectable = selectable<Source>;

template <class Value, class T>
using PutValue = std::conditional_t<std::is_same_v<Value&&, T&&>, T&&, T>;

template <class... Cases>
std::size_t select_and_run(Deadline deadline, Cases&... cases) {
  Case* all[] = {&cases...};
  SpinLock* locks[sizeof...(Cases)];
  const std::size_t chosen = select_one(all, locks, sizeof...(Cases), deadline);
  std::size_t at = 0;
  static_cast<void>(((at++ == chosen && (cases.run(), true)) || ...));
  return chosen;
}

}  // namespace fern::detail
