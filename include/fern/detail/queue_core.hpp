#pragma once

// What a Queue is apart from its items: who waits, how many items there are, whether it is closed.
// And the three orders in which a queue keeps items.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/switch.hpp>
#include <fern/detail/wait_queue.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace fern::detail {

class FERN_API QueueCore {
 public:
  static constexpr std::size_t unbounded = static_cast<std::size_t>(-1);

  enum class Outcome : unsigned char { Ok, Late, Closed };

  // Move makes what a place is for out of an item, and may throw.
  using Move = void (*)(void* place, void* item);

  QueueCore() noexcept = default;
  explicit QueueCore(std::ptrdiff_t capacity);  // std::invalid_argument when negative
  QueueCore(const QueueCore&) = delete;
  QueueCore& operator=(const QueueCore&) = delete;

  // Change holds the lock. Unless it is done, what it may have been woken for is for another.
  class Change {
   public:
    explicit Change(QueueCore& core) noexcept : core_(core) { core_.lock_.lock(); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    ~Change() {
      if (!done_) core_.pass_on();
      core_.lock_.unlock(0);
    }
    void put() noexcept {  // an item was added
      done_ = true;
      core_.added();
    }
    void took() noexcept {  // an item was removed
      done_ = true;
      core_.removed();
    }

   private:
    QueueCore& core_;
    bool done_ = false;
  };

  // Of a queue that keeps items, with the lock held: wait_item() waits until there is one,
  // wait_room() until one may be put; added() and removed() say that it was.
  Outcome wait_item(Deadline deadline) {
    return size() > 0 ? Outcome::Ok : wait_item_slow(deadline);
  }
  Outcome wait_room(Deadline deadline) {
    return has_room() && !closed() ? Outcome::Ok : wait_room_slow(deadline);
  }
  bool has_room() const noexcept { return size() < capacity_; }
  void added() noexcept {
    resize(size() + 1);
    ++unfinished_;
    if (!getters_.empty()) getters_.notify_one();
  }
  void removed() noexcept {
    resize(size() - 1);
    if (!putters_.empty()) putters_.notify_one();
  }

  // Of a rendezvous, which keeps none: the whole put of an item, or the whole get into a place.
  // Putters and getters line up; who comes serves the first on the other side, or joins his own.
  // A getter that was waiting goes on before its putter does.
  enum class Side : bool { Put, Get };
  bool rendezvous() const noexcept { return capacity_ == 0; }
  Outcome meet(Side side, void* item, Move move, Deadline deadline);

  // meet_here() is meet(), with the jump where it is called; see switch.hpp.
  Outcome meet_here(Side side, void* item, Move move, Deadline deadline) {
#ifdef FERN_INLINE_SWITCH
    if (deadline.is_never()) {
      Meeting meeting(item, move);
      Passage passage = side == Side::Put ? prepare_put(meeting) : prepare_get(meeting);
      if (passage.to != nullptr) jump(passage);
      return meeting.served() ? Outcome::Ok : conclude(side, meeting);
    }
#endif
    return meet(side, item, move, deadline);
  }

  // Met is whom a put or get served.
  struct Met {
    bool any = false;
    Waiter* elsewhere = nullptr;  // one of another hub, to be posted when the lock is free
    explicit operator bool() const noexcept { return any; }
  };
  // serve_other() serves the first of the other side, if somebody waits there, with the lock held.
  Met serve_other(Side side, void* item, Move move, const core::Hub* here);
  // let_go_first() lets a getter of this hub that was served go on before the putter does.
  static void let_go_first(Side side, const Met& met, Deadline deadline, core::Hub* here) noexcept;

  // check_put() and check_get() throw what an outcome other than Ok means.
  static void check_put(Outcome outcome) {
    if (outcome != Outcome::Ok) [[unlikely]]
      throw_put(outcome);
  }
  static void check_get(Outcome outcome) {
    if (outcome != Outcome::Ok) [[unlikely]]
      throw_get(outcome);
  }

  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::size_t capacity() const noexcept { return capacity_; }
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  std::ptrdiff_t balance() noexcept;  // putters that wait, minus getters
  SpinLock& lock() noexcept { return lock_; }
  WaitQueue& line(Side side) noexcept { return side == Side::Put ? putters_ : getters_; }
  void task_done();
  bool join(Deadline deadline);
  void close() noexcept;

 private:
  [[noreturn]] static void throw_put(Outcome outcome);
  [[noreturn]] static void throw_get(Outcome outcome);
  Outcome wait_item_slow(Deadline deadline);
  Outcome wait_room_slow(Deadline deadline);

  // Meeting is a put into, or a get from, a rendezvous, on its caller's stack.
  struct Meeting {
    Meeting(void* item, Move move) noexcept : move(move) { waiter.item = item; }
    Move move;
    Waiter waiter;  // in line unless it was served
    // What tells a waiter that it was served is the last to touch it: that is seen without the
    // lock.
    bool served() const noexcept { return waiter.arrived && waiter.served; }
  };
  class InLine;

  static constexpr Side other(Side side) noexcept {
    return side == Side::Put ? Side::Get : Side::Put;
  }
  void line_up(Side side, Meeting& meeting, core::Hub& hub) noexcept;
  Outcome wait_in_line(Side side, Meeting& meeting, Deadline deadline, core::Wake why);
  template <Side side>
  Passage prepare(Meeting& meeting);
  Passage prepare_put(Meeting& meeting);
  Passage prepare_get(Meeting& meeting);
  Outcome conclude(Side side, Meeting& meeting);
  void pass_on() noexcept;
  void resize(std::size_t size) noexcept { size_.store(size, std::memory_order_relaxed); }

  SpinLock lock_;  // guards everything, the items too; size_ and closed_ may be read without
  std::size_t capacity_ = unbounded;
  std::atomic<std::size_t> size_{0};
  std::atomic<bool> closed_{false};
  std::size_t unfinished_ = 0;
  WaitQueue getters_;
  WaitQueue putters_;
  WaitQueue joiners_;
};

// Getting is an input iterator that takes items out of a queue, waiting for each where it is looked
// at, and not where it steps: std::views::take(n) steps once more than it looks. It owns the item
// that it stands at.
template <class Source, class T>
class Getting {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  Getting() = default;
  explicit Getting(Source& source) noexcept : source_(&source) {}

  T& operator*() const {
    arrive();
    return *value_;
  }
  T* operator->() const { return &**this; }
  Getting& operator++() {
    arrive();  // one that nobody has looked at is passed over
    arrived_ = false;
    value_.reset();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Getting& at, std::default_sentinel_t) {
    at.arrive();
    return !at.value_.has_value();
  }

 private:
  void arrive() const {
    if (arrived_) return;
    source_->remove(value_, {});
    arrived_ = true;
  }

  Source* source_ = nullptr;
  mutable std::optional<T> value_;  // none at the end
  mutable bool arrived_ = false;    // value_ is what it stands at
};

// QueueAccess lets a select look behind a Queue or a Channel.
struct QueueAccess {
  template <class Source>
  static QueueCore& core(Source& source) noexcept {
    return source.core_;
  }
  template <class Source, class T>
  static void put(Source& source, T&& item) {
    if constexpr (requires { source.items_; }) source.items_.put(std::move(item));
  }
  template <class Source, class T>
  static void take(Source& source, std::optional<T>& into) {
    if constexpr (requires { source.items_; }) {
      into.emplace(std::move(source.items_.next()));
      source.items_.drop();
    }
  }
  template <class T>
  static void hand_over(void* place, void* item) {
    static_cast<std::optional<T>*>(place)->emplace(std::move(*static_cast<T*>(item)));
  }
};

// The orders of items: next() is the one to take, to be moved from and then dropped.
//
// First in, first out.
template <class T>
class Fifo {
 public:
  void put(T&& item) { items_.push_back(std::move(item)); }
  T& next() { return items_.front(); }
  void drop() { items_.pop_front(); }

 private:
  std::deque<T> items_;
};

// Last in, first out.
template <class T>
class Lifo {
 public:
  void put(T&& item) { items_.push_back(std::move(item)); }
  T& next() { return items_.back(); }
  void drop() { items_.pop_back(); }

 private:
  std::vector<T> items_;
};

// Whichever Compare puts first.
template <class T, class Compare>
class Heap {
 public:
  void put(T&& item) {
    items_.push_back(std::move(item));
    std::push_heap(items_.begin(), items_.end(), after_);
  }
  T& next() {
    std::pop_heap(items_.begin(), items_.end(), after_);
    return items_.back();
  }
  void drop() { items_.pop_back(); }

 private:
  struct After {
    bool operator()(const T& a, const T& b) const { return Compare()(b, a); }
  };

  std::vector<T> items_;
  [[no_unique_address]] After after_;
};

}  // namespace fern::detail
