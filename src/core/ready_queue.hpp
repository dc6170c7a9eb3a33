#pragma once

// ReadyQueue is a hub's line of those who are ready: a ring of pointers, so that who comes much
// later is known without a walk over all before him. A list through the control blocks would tell
// only the next one, once its own line is there: at 100,000 that walk is what a yield waits for
// (src/README.md has the figures).
//
//   queue.reserve(greenlets, main);   // before so many can be ready: push() allocates nothing
//   queue.push(greenlet);
//   if (!queue.empty()) run(queue.pop());
//
// Every greenlet is in it at most once. Only the hub's thread may call it.

#include <cstddef>
#include <cstdint>

namespace fern::core {

struct Greenlet;

class ReadyQueue {
 public:
  ReadyQueue() = default;
  ReadyQueue(const ReadyQueue&) = delete;
  ReadyQueue& operator=(const ReadyQueue&) = delete;
  ~ReadyQueue();

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return empty() ? 0 : 1 + others(); }

  // first() is who has the next turn, if there is anybody; soon(i) who has the i-th after it, from
  // 1 to `foresight`. Beyond the end it is somebody who was in the queue once, or `nobody`.
  static constexpr std::size_t foresight = 8;
  Greenlet& first() const noexcept { return *first_; }
  Greenlet& soon(std::size_t i) const noexcept { return *head_[i - 1]; }
  bool has_second() const noexcept { return head_ != tail_; }

  void push(Greenlet& greenlet) noexcept {
    if (first_ == nullptr) {
      first_ = &greenlet;
    } else {
      append(greenlet);
    }
  }
  Greenlet& pop() noexcept {
    Greenlet& first = *first_;
    if (head_ == tail_) {
      first_ = nullptr;
    } else {
      advance();
    }
    return first;
  }

  // rotate() is push() and pop() where there is a second one, exchange() where there is only one.
  Greenlet& rotate(Greenlet& greenlet) noexcept {
    Greenlet& first = *first_;
    append(greenlet);
    advance();
    return first;
  }
  Greenlet& exchange(Greenlet& greenlet) noexcept {
    Greenlet& first = *first_;
    first_ = &greenlet;
    return first;
  }

  void clear() noexcept {
    first_ = nullptr;
    head_ = tail_;
  }

  // rewind() is for an empty one now and then: the next ones stand where the ring begins, so that
  // few do not walk through all the places of a time when they were many.
  void rewind() noexcept { head_ = tail_ = ring_; }

  // reserve() makes room for so many; `nobody` stands where nobody has been yet. Throws
  // std::bad_alloc and changes nothing.
  void reserve(std::size_t count, Greenlet& nobody) {
    if (count > places()) [[unlikely]]
      grow(count, nobody);
  }

  // put_first() lets the last `count` go before all others, in their order.
  void put_first(std::size_t count) noexcept;

 private:
  using Place = Greenlet**;

  void grow(std::size_t count, Greenlet& nobody);

  void append(Greenlet& greenlet) noexcept {
    *tail_ = &greenlet;
    tail_ = wrapped(tail_ + 1);
  }
  void advance() noexcept {
    first_ = *head_;
    head_ = wrapped(head_ + 1);
  }

  // The ring begins at a multiple of twice its size, so one bit of a place says that it has come
  // to the end. Behind it are some places more, for soon(); what stands there says nothing.
  Place wrapped(Place place) const noexcept {
    return reinterpret_cast<Place>(reinterpret_cast<std::uintptr_t>(place) & wrap_);
  }
  std::size_t bytes() const noexcept { return wrap_ == 0 ? 0 : ~wrap_; }
  std::size_t places() const noexcept { return bytes() / sizeof(Greenlet*); }
  std::size_t others() const noexcept {
    return ((reinterpret_cast<std::uintptr_t>(tail_) - reinterpret_cast<std::uintptr_t>(head_)) &
            (bytes() - 1)) /
           sizeof(Greenlet*);
  }

  // The first stands by itself: who yields to it need not look at the ring before. The others are
  // from head_ to tail_, of whose places one is always free. In this order, since gcc would make
  // one store of the two that advance() writes if they were neighbours, and wait for it.
  Greenlet* first_ = nullptr;
  Place tail_ = nullptr;
  Place head_ = nullptr;
  std::uintptr_t wrap_ = 0;  // ~size of the ring in bytes, which is a power of two; 0: none
  Place ring_ = nullptr;
};

}  // namespace fern::core
