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
#include <memory>
#include <new>
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

  AnyGreenlet greenlet;        // the worker until it starts, and again if it failed
  std::exception_ptr error;    // of one that ran inside of spawn, in no greenlet of its own
  bool finished = false;
  bool dropped = false;        // not spawned after all
  Item* next = nullptr;        // in the queue of results, or of free items
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
  // to be spawned, drop() takes it back. complete() says that no more is read.
  bool wait_for_room();
  bool wait_for_worker();
  void begin(Item& item) noexcept;
  void drop(Item& item) noexcept { item.dropped = true; }
  void complete() noexcept;
  bool abandoned() const noexcept { return abandoned_; }

  // A worker's side. failed() while its exception is being handled; `own`: in its own greenlet.
  void failed(Item& item, bool own) noexcept;
  void finished(Item& item) noexcept;

  // The consumer's side. advance() gives back the item at hand and waits for the next; throws
  // TimeoutError when late. done() asks whether there is none.
  void advance(Deadline deadline);
  bool done() const noexcept { return at_ == At::End; }
  bool begun() const noexcept { return at_ != At::Gap; }
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
  // Where the consumer stands. Failure: where the input threw.
  enum class At : unsigned char { Gap, Item, Failure, End };

  bool goes_on();
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
  std::size_t ahead_ = 0;    // items that are read, or about to be, and not handed out
  std::size_t pending_ = 0;  // those of them that were spawned
  Item* head_ = nullptr;     // results in order; of completion: finished ones only
  Item* tail_ = nullptr;
  Item* free_ = nullptr;
  Item* all_ = nullptr;
  Item* current_ = nullptr;
  AnyGreenlet reader_;
  core::Hub* hub_;
  SpinLock lock_;            // the queues' ask for one; nobody contends for it
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

// Outcome is an item with a result of its type.
template <class R>
struct Outcome final : Item {
  Outcome() noexcept {}
  ~Outcome() override { clear(); }
  void clear() noexcept override {
    if (std::exchange(present, false)) std::destroy_at(std::addressof(value));
  }
  R& get() {
    if (!present) rethrow();
    return value;
  }

  union {
    R value;
  };
  bool present = false;
};

template <class R>
class Results : public Feed {
 public:
  using Feed::Feed;

  Outcome<R>& take_item() {
    if (Item* free = reuse()) return static_cast<Outcome<R>&>(*free);
    auto* made = new Outcome<R>;
    own(*made);
    return *made;
  }

  R& value() { return static_cast<Outcome<R>&>(current()).get(); }
};

// Job is the callable of a worker: calls `work` once, which returns an R, into the item.
template <class R, class Work>
class Job {
 public:
  Job(Results<R>& results, Outcome<R>& item, Work work)
      : results_(Ref<Results<R>>::share(results)), item_(&item), work_(std::move(work)) {}
  Job(Job&&) = default;
  ~Job() {
    if (results_) results_->finished(*item_);
  }

  void operator()() {
    // Once it runs it is not to be dropped any more. Without a handle it runs inside of spawn.
    bool own = std::exchange(item_->greenlet, AnyGreenlet()).valid();
    try {
      ::new (static_cast<void*>(std::addressof(item_->value))) R(work_());
      item_->present = true;
    } catch (...) {
      results_->failed(*item_, own);
      throw;
    }
  }

 private:
  Ref<Results<R>> results_;
  Outcome<R>* item_;
  Work work_;
};

// start_job() makes a greenlet for the work by `spawn`, which is given the Job and returns the
// handle; a full pool may have run it already, and then the item may be somebody else's.
template <class R, class Work, class Spawn>
void start_job(Results<R>& results, Work&& work, Spawn&& spawn) {
  Outcome<R>& item = results.take_item();
  results.begin(item);
  try {
    AnyGreenlet worker = spawn(Job<R, Work>(results, item, std::forward<Work>(work)));
    if (worker.ready()) {
      static_cast<void>(worker.exception());  // the item has it: it counts as read
    } else {
      item.greenlet = std::move(worker);
    }
  } catch (...) {
    results.drop(item);
    throw;
  }
}

}  // namespace fern::detail
