#include <fern/detail/queue_core.hpp>
#include <fern/errors.hpp>

#include <mutex>
#include <stdexcept>

namespace fern::detail {

QueueCore::QueueCore(std::ptrdiff_t capacity) : capacity_(static_cast<std::size_t>(capacity)) {
  if (capacity < 0) throw std::invalid_argument("Queue: the capacity is negative");
}

QueueCore::Outcome QueueCore::wait_item_slow(Deadline deadline) {
  bool in_time = getters_.wait(lock_, deadline, "Queue::get()", [this](bool) {
    return size() > 0 || offers_ != nullptr || closed();
  });
  if (size() > 0 || offers_ != nullptr) return Outcome::Ok;
  return in_time ? Outcome::Closed : Outcome::Late;
}

QueueCore::Outcome QueueCore::wait_room_slow(Deadline deadline) {
  if (closed()) return Outcome::Closed;
  // Into a rendezvous goes only what somebody waits for; a putter that may wait makes an offer.
  if (rendezvous()) return getters_.notify_one() ? Outcome::Ok : Outcome::Late;
  bool in_time = putters_.wait(lock_, deadline, "Queue::put()",
                               [this](bool) { return size() < capacity_ || closed(); });
  if (closed()) return Outcome::Closed;
  return in_time ? Outcome::Ok : Outcome::Late;
}

// The getter resumes first, and wakes the putter by taking.
QueueCore::Outcome QueueCore::offer(void* item, Deadline deadline) {
  if (closed()) return Outcome::Closed;
  Offer offer;
  offer.item = item;
  offer.previous = last_offer_;
  (offers_ == nullptr ? offers_ : last_offer_->next) = &offer;
  last_offer_ = &offer;
  struct Withdraw {
    QueueCore& core;
    Offer& offer;
    ~Withdraw() {
      if (offer.state == Offer::State::Open) core.settle(offer, Offer::State::Refused);
    }
  } withdraw{*this, offer};
  getters_.notify_one();
  offer.settled.wait(lock_, deadline, "Queue::put()",
                     [&](bool) { return offer.state != Offer::State::Open; });
  switch (offer.state) {
    case Offer::State::Taken:
      return Outcome::Ok;
    case Offer::State::Refused:
      return Outcome::Closed;
    case Offer::State::Open:
      break;
  }
  return Outcome::Late;
}

void QueueCore::settle(Offer& offer, Offer::State state) noexcept {
  (offer.previous == nullptr ? offers_ : offer.previous->next) = offer.next;
  (offer.next == nullptr ? last_offer_ : offer.next->previous) = offer.previous;
  offer.state = state;
  offer.settled.notify_one();
}

void QueueCore::accept(Offer& offer) noexcept {
  ++unfinished_;
  settle(offer, Offer::State::Taken);
}

// A put or get that was woken, and then failed, leaves what it was woken for to the next.
void QueueCore::pass_on() noexcept {
  if (size() > 0 || offers_ != nullptr) getters_.notify_one();
  if (size() < capacity_) putters_.notify_one();
}

void QueueCore::task_done() {
  std::lock_guard hold(lock_);
  if (unfinished_ == 0) throw std::logic_error("Queue::task_done(): called too often");
  if (--unfinished_ == 0) joiners_.notify_all();
}

bool QueueCore::join(Deadline deadline) {
  std::lock_guard hold(lock_);
  return joiners_.wait(lock_, deadline, "Queue::join()",
                       [this](bool notified) { return notified || unfinished_ == 0; });
}

void QueueCore::close() noexcept {
  std::lock_guard hold(lock_);
  closed_.store(true, std::memory_order_relaxed);
  while (offers_ != nullptr) settle(*offers_, Offer::State::Refused);
  getters_.notify_all();
  putters_.notify_all();
}

void QueueCore::throw_put(Outcome outcome) {
  if (outcome == Outcome::Closed) throw QueueClosed();
  throw QueueFull();
}

void QueueCore::throw_get(Outcome outcome) {
  if (outcome == Outcome::Closed) throw QueueClosed();
  throw QueueEmpty();
}

}  // namespace fern::detail
