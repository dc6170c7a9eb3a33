#include "core/hub.hpp"

#include <fern/detail/feed.hpp>
#include <fern/errors.hpp>
#include <fern/timeout.hpp>

#include <exception>
#include <mutex>
#include <utility>

namespace fern::detail {

void Item::rethrow() {
  if (error != nullptr) std::rethrow_exception(error);
  greenlet.get();
}

Feed::Feed(Order order, std::size_t workers, std::size_t ahead)
    : order_(order), most_workers_(workers), most_ahead_(ahead), hub_(&core::Hub::current()) {}

Feed::~Feed() {
  while (all_ != nullptr) delete std::exchange(all_, all_->next_of_all);
}

// --- reading ----------------------------------------------------------------------------------

bool Feed::wait_for_room() {
  std::lock_guard lock(lock_);
  room_.wait(lock_, {}, "room in an imap",
             [this](bool) noexcept { return pending_ < most_ahead_ || abandoned_; });
  return goes_on();
}

bool Feed::wait_for_worker() {
  std::lock_guard lock(lock_);
  room_.wait(lock_, {}, "a worker of an imap",
             [this](bool) noexcept { return workers_ < most_workers_ || abandoned_; });
  return goes_on();
}

// A reader that was woken and killed in one turn has not met the kill: it reads no more.
bool Feed::goes_on() {
  core::Greenlet& self = hub_->running();
  if (!abandoned_ && core::interruptible(self, hub_->live_eh())) {
    core::throw_pending(self);
  }
  return !abandoned_;
}

void Feed::begin(Item& item) noexcept {
  ++workers_;
  ++pending_;
  if (order_ == Order::Input) append(item);
}

void Feed::complete() noexcept {
  complete_ = true;
  if (abandoned_) drop_input();
  ready_.notify_all();
}

Item* Feed::reuse() noexcept {
  Item* item = free_;
  if (item != nullptr) free_ = item->next;
  return item;
}

void Feed::own(Item& item) noexcept { item.next_of_all = std::exchange(all_, &item); }

// --- working ----------------------------------------------------------------------------------

void Feed::failed(Item& item, bool own) noexcept {
  if (abandoned_) return;  // nobody will ask: it is printed when the greenlet ends
  if (own) {
    item.greenlet = current_greenlet();
    return;
  }
  try {
    throw;
  } catch (const GreenletExit&) {
    item.error = std::make_exception_ptr(GreenletKilled("inside of spawn"));
  } catch (...) {
    item.error = std::current_exception();
  }
}

void Feed::finished(Item& item, bool ran) noexcept {
  item.finished = true;
  item.gap = !ran && !item.greenlet.valid();
  --workers_;
  if (abandoned_) {
    recycle(item);
    return;
  }
  if (order_ == Order::Completion) append(item);
  if (ready()) ready_.notify_one();
  room_.notify_one();
}

// --- handing out ------------------------------------------------------------------------------

bool Feed::ready() const noexcept {
  return head_ != nullptr ? head_->finished : complete_ && pending_ == 0;
}

void Feed::append(Item& item) noexcept {
  item.next = nullptr;
  (head_ == nullptr ? head_ : tail_->next) = &item;
  tail_ = &item;
}

// Hands the first result out: there is room for one item more.
Item& Feed::pop() noexcept {
  Item& item = *std::exchange(head_, head_->next);
  --pending_;
  room_.notify_one();
  return item;
}

void Feed::recycle(Item& item) noexcept {
  item.clear();
  item.greenlet = AnyGreenlet();  // prints an exception that nobody has read
  item.error = nullptr;
  item.finished = item.gap = false;
  item.next = std::exchange(free_, &item);
}

void Feed::check_thread() const {
  if (&core::Hub::current() != hub_) {
    throw GreenletError("this imap belongs to another thread");
  }
}

void Feed::step() {
  check_thread();
  if (at_ == At::End && pending_ == 0) return;  // a pile may have gone on
  if (at_ == At::Failure) {
    reader_ = AnyGreenlet();
    at_ = At::End;
    return;
  }
  at_ = At::Gap;
  if (current_ != nullptr) recycle(*std::exchange(current_, nullptr));
}

void Feed::wait_for_item(Deadline deadline) {
  check_thread();
  for (;;) {
    {
      std::lock_guard lock(lock_);
      if (!ready_.wait(lock_, deadline, "the next of an imap", [this](bool) { return ready(); })) {
        throw TimeoutError("the next result is not there in time");
      }
    }
    if (head_ == nullptr) break;
    Item& item = pop();
    if (!item.gap) {
      current_ = &item;
      at_ = At::Item;
      return;
    }
    recycle(item);
  }
  if (reader_.valid()) reader_.join();  // it has ended, or is about to
  bool failed = reader_.valid() && (!reader_.successful() || reader_.killed());
  if (!failed) reader_ = AnyGreenlet();
  at_ = failed ? At::Failure : At::End;
}

Item& Feed::current() {
  if (at_ == At::Failure) reader_.get();
  if (at_ != At::Item) throw GreenletError("an imap has no result at hand here");
  return *current_;
}

// --- the consumer's end -----------------------------------------------------------------------

void Feed::abandon(bool drop) noexcept {
  abandoned_ = true;
  for (Item* item = all_; item != nullptr; item = item->next_of_all) {
    if (item->finished || !item->greenlet.valid()) continue;
    AnyGreenlet unstarted = std::exchange(item->greenlet, AnyGreenlet());
    if (drop) unstarted.cancel();
  }
  stop_reader();
  if (!reading_) drop_input();
  if (current_ != nullptr) recycle(*std::exchange(current_, nullptr));
  if (order_ == Order::Completion) {
    while (head_ != nullptr) recycle(*std::exchange(head_, head_->next));
    return;
  }
  // Those that are not finished go to nobody when they are.
  while (head_ != nullptr) {
    Item& item = *std::exchange(head_, head_->next);
    if (item.finished) recycle(item);
  }
}

// The reader holds iterators of a range that may end right after the consumer: it lets go first.
void Feed::stop_reader() noexcept {
  AnyGreenlet reader = std::exchange(reader_, AnyGreenlet());
  if (!reader.valid() || reader.ready()) return;
  reader.kill({.block = false});
  core::Hub& hub = core::Hub::current();
  if (!reading_ || hub.on_own_stack() || reader == current_greenlet()) return;
  ShieldKill shield;
  reader.join();
}

}  // namespace fern::detail
