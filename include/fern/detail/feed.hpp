#pragma once

// Feed is the engine of imap, map and GreenPile: items are read, a greenlet works on each, and
// what came of them is handed out. At most `ahead` items are read and not handed out, at most
// `workers` are worked on. It is counted by who hands out, who reads, and each worker, so that
// each may go first. All of it is in one hub's thread.
//
//     read --> started --> finished --> handed out      room_ : the reader waits
//     \________ at most `ahead` _______/                ready_: the consumer waits

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/greenlet.hpp>

#include <cstddef>
#include <exception>
#include <utility>

namespace fern::detail {

// Item is one place for a result, used again and again.
struct Item {
  Item() = default;
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  virtual ~Item() = default;
  virtual void clear() noexcept = 0;  // destroys the result if there is one
  FERN_API void rethrow();            // throws why there is none

  AnyGreenlet greenlet;      // the worker until it starts, and again if it failed
  std::exception_ptr error;  // of one that ran inside of spawn, in no greenlet of its own
  bool finished = false;
  bool gap = false;      // not spawned after all
  Item* next = nullptr;  // in the queue of results, or of free items
  Item* next_of_all = nullptr;
};

class FERN_API Feed {
 public:
  enum class Order : unsigned char { Input, Completion };

  Feed(Order order, std::size_t workers, std::size_t ahead);
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  void retain() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  // The reader's side. wait_for_room() and wait_for_worker() park until the limits allow to read,
  // or to start, one item more; false when nobody wants it. begin() queues an item that is about
  // to be spawned. complete() says that no more is read.
  bool wait_for_room();
  bool wait_for_worker();
  void begin(Item& item) noexcept;
  void complete() noexcept;
  bool abandoned() const noexcept { return abandoned_; }

  // A worker's side. failed() while its exception is being handled; `own`: in its own greenlet.
  // One that never ran is a gap if it was not spawned at all, and a killed worker otherwise.
  void failed(Item& item, bool own) noexcept;
  void finished(Item& item, bool ran) noexcept;

  // The consumer's side. step() gives back the item at hand; arrive() waits for the next unless
  // there is one at hand, and throws TimeoutError when late. done() asks whether that was the end.
  void step();
  void arrive(Deadline deadline) {
    if (at_ == At::Gap) wait_for_item(deadline);
  }
  void advance(Deadline deadline) {
    step();
    arrive(deadline);
  }
  bool done() const noexcept { return at_ == At::End; }
  Item& current();  // rethrows the reader's exception in its place

  // abandon() is the consumer's end: nothing more is read, what has not started is dropped if
  // `drop`, what has started runs on. It waits for nobody but a reader inside of the input.
  void abandon(bool drop) noexcept;

  // The greenlet that reads, if there is one.
  void set_reader(AnyGreenlet reader) noexcept { reader_ = std::move(reader); }

 protected:
  virtual ~Feed();
  virtual void drop_input() noexcept {}

  // While the input is asked: an abandoned reader is killed there.
  class Reading {
   public:
    explicit Reading(Feed& feed) noexcept : feed_(feed) { feed_.reading_ = true; }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { feed_.reading_ = false; }

   private:
    Feed& feed_;
  };

  Item* reuse() noexcept;
  void own(Item& item) noexcept;

 private:
  // Where the consumer stands. Gap: before an item. Failure: where the input threw.
  enum class At : unsigned char { Gap, Item, Failure, End };

  bool goes_on();
  void check_thread() const;
  void wait_for_item(Deadline deadline);
  bool ready() const noexcept;
  void append(Item& item) noexcept;
  Item& pop() noexcept;
  void recycle(Item& item) noexcept;
  void stop_reader() noexcept;

  Order order_;
  At at_ = At::Gap;
  bool complete_ = false;
  bool reading_ = false;
  bool abandoned_ = false;
  std::size_t references_ = 1;
  std::size_t most_workers_;
  std::size_t most_ahead_;
  std::size_t workers_ = 0;  // items that are started and not finished
  std::size_t pending_ = 0;  // items that are started and not handed out
  Item* head_ = nullptr;     // results in order; of completion: finished ones only
  Item* tail_ = nullptr;
  Item* free_ = nullptr;
  Item* all_ = nullptr;
  Item* current_ = nullptr;
  AnyGreenlet reader_;
  core::Hub* hub_;
  SpinLock lock_;  // the queues' ask for one; nobody contends for it
  WaitQueue room_;
  WaitQueue ready_;
};

// Ref counts a Feed.
template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  explicit Ref(T* adopted) noexcept : feed_(adopted) {}
  static Ref share(T& feed) noexcept {
    feed.retain();
    return Ref(&feed);
  }
  Ref(const Ref& other) noexcept : feed_(other.feed_) {
    if (feed_ != nullptr) feed_->retain();
  }
  template <class U>
  Ref(const Ref<U>& other) noexcept : feed_(other.get()) {
    if (feed_ != nullptr) feed_->retain();
  }
  Ref(Ref&& other) noexcept : feed_(std::exchange(other.feed_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(feed_, other.feed_);
    return *this;
  }
  ~Ref() {
    if (feed_ != nullptr) feed_->release();
  }

  T* get() const noexcept { return feed_; }
  T* operator->() const noexcept { return feed_; }
  T& operator*() const noexcept { return *feed_; }
  explicit operator bool() const noexcept { return feed_ != nullptr; }

 private:
  T* feed_ = nullptr;
};

}  // namespace fern::detail
