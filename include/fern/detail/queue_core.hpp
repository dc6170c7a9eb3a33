#pragma once

// What a Queue is apart from its items: who waits, how many items there are, whether it is closed.
// And the three orders in which a queue keeps items.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <type_traits>
#include <utility>
#include <vector>

namespace fern::detail {

// An Offer stands on the stack of a putter of a rendezvous: its item goes straight to a getter.
struct Offer {
  enum class State : unsigned char { Open, Taken, Refused };
  Offer* next = nullptr;
  Offer* previous = nullptr;
  void* item = nullptr;
  State state = State::Open;  // in the list of offers as long as it is Open
  WaitQueue settled;          // where its putter waits
};

class FERN_API QueueCore {
 public:
  static constexpr std::size_t unbounded = static_cast<std::size_t>(-1);

  enum class Outcome : unsigned char { Ok, Late, Closed };

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
      core_.resize(core_.size() + 1);
      ++core_.unfinished_;
      // For a rendezvous wait_room() has woken the one that the item is for.
      if (!core_.getters_.empty() && !core_.rendezvous()) core_.getters_.notify_one();
    }
    void took() noexcept {  // an item was removed
      done_ = true;
      core_.resize(core_.size() - 1);
      if (!core_.putters_.empty()) core_.putters_.notify_one();
    }
    void took(Offer& offer) noexcept {  // its item was moved out
      done_ = true;
      core_.accept(offer);
    }
    Outcome offer(void* item,
                  Deadline deadline) {  // the whole put into a rendezvous, if it may wait
      done_ = true;
      return core_.offer(item, deadline);
    }

   private:
    QueueCore& core_;
    bool done_ = false;
  };

  // With the lock held: wait_item() waits until there is an item or an offer, wait_room() until an
  // item may be put.
  Outcome wait_item(Deadline deadline) {
    return size() > 0 || offers_ != nullptr ? Outcome::Ok : wait_item_slow(deadline);
  }
  Outcome wait_room(Deadline deadline) {
    return size() < capacity_ && !closed() ? Outcome::Ok : wait_room_slow(deadline);
  }
  Offer* first_offer() const noexcept { return offers_; }
  bool rendezvous() const noexcept { return capacity_ == 0; }

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
  void task_done();
  bool join(Deadline deadline);
  void close() noexcept;

 private:
  [[noreturn]] static void throw_put(Outcome outcome);
  [[noreturn]] static void throw_get(Outcome outcome);
  Outcome wait_item_slow(Deadline deadline);
  Outcome wait_room_slow(Deadline deadline);
  Outcome offer(void* item, Deadline deadline);
  void accept(Offer& offer) noexcept;
  void settle(Offer& offer, Offer::State state) noexcept;
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
  Offer* offers_ = nullptr;  // first come first
  Offer* last_offer_ = nullptr;
};

// First in, first out.
template <class T>
class Fifo {
 public:
  void put(T&& item) { items_.push_back(std::move(item)); }
  T take() {
    T item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

 private:
  std::deque<T> items_;
};

// Last in, first out.
template <class T>
class Lifo {
 public:
  void put(T&& item) { items_.push_back(std::move(item)); }
  T take() {
    T item(std::move(items_.back()));
    items_.pop_back();
    return item;
  }

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
  T take() {
    std::pop_heap(items_.begin(), items_.end(), after_);
    T item(std::move(items_.back()));
    items_.pop_back();
    return item;
  }

 private:
  struct After {
    bool operator()(const T& a, const T& b) const { return Compare()(b, a); }
  };

  std::vector<T> items_;
  [[no_unique_address]] After after_;
};

}  // namespace fern::detail
