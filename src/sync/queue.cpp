#include "core/wait_queue.hpp"

#include <fern/detail/queue_core.hpp>
#include <fern/detail/select_cases.hpp>
#include <fern/errors.hpp>

#include <mutex>
#include <stdexcept>
#include <string>

namespace fern::detail {

QueueCore::QueueCore(std::ptrdiff_t capacity) : capacity_(static_cast<std::size_t>(capacity)) {
  if (capacity < 0) throw std::invalid_argument("Queue: the capacity is negative");
}

QueueCore::Outcome QueueCore::wait_item_slow(Deadline deadline) {
  bool in_time = getters_.wait(lock_, deadline, "Queue::get()",
                               [this](bool) { return size() > 0 || closed(); });
  if (size() > 0) return Outcome::Ok;
  return in_time ? Outcome::Closed : Outcome::Late;
}

QueueCore::Outcome QueueCore::wait_room_slow(Deadline deadline) {
  if (closed()) return Outcome::Closed;
  bool in_time = putters_.wait(lock_, deadline, "Queue::put()",
                               [this](bool) { return has_room() || closed(); });
  if (closed()) return Outcome::Closed;
  return in_time ? Outcome::Ok : Outcome::Late;
}

// A put or get that was woken, and then failed, leaves what it was woken for to the next.
void QueueCore::pass_on() noexcept {
  if (size() > 0) getters_.notify_one();
  if (has_room()) putters_.notify_one();
}

__attribute__((always_inline)) inline QueueCore::Met QueueCore::serve_other(Side side, void* item,
                                                                            Move move,
                                                                            const core::Hub* here) {
  WaitQueue& others = line(other(side));
  Waiter* waiter = others.claim(here);
  if (waiter == nullptr) return {};
  try {
    side == Side::Put ? move(waiter->item, item) : move(item, waiter->item);
  } catch (...) {
    WaitQueue::notify(*waiter);  // in vain: it looks again
    throw;
  }
  ++unfinished_;
  return {true, others.serve(*waiter, here) ? nullptr : waiter};
}

inline void QueueCore::let_go_first(Side side, const Met& met, Deadline deadline,
                                    core::Hub* here) noexcept {
  if (side == Side::Get || met.elsewhere != nullptr || deadline == Deadline::past()) return;
  if (!here->on_own_stack()) here->go_last();
}

inline void QueueCore::line_up(Side side, Meeting& meeting, core::Hub& hub) noexcept {
  meeting.waiter.greenlet = &hub.running();
  meeting.waiter.hub = &hub;
  line(side).link(meeting.waiter);
}

namespace {

constexpr const char* what_waits(bool put) noexcept {
  return put ? "put() into a rendezvous" : "get() from a rendezvous";
}

}  // namespace

QueueCore::Outcome QueueCore::meet(Side side, void* item, Move move, Deadline deadline) {
  core::Hub* hub = core::Hub::mine();  // a forked child learns who is gone
  std::unique_lock hold(lock_);
  if (closed()) return Outcome::Closed;
  if (Met met = serve_other(side, item, move, hub)) {
    hold.unlock();
    if (met.elsewhere != nullptr) WaitQueue::post(*met.elsewhere);
    let_go_first(side, met, deadline, hub);
    return Outcome::Ok;
  }
  if (deadline == Deadline::past()) return Outcome::Late;
  if (hub == nullptr) [[unlikely]] {
    hold.unlock();  // making a hub takes a while and may throw
    core::Hub::current();
    return meet(side, item, move, deadline);
  }
  if (hub->on_own_stack()) {
    throw BlockingInHub(what_waits(side == Side::Put) +
                        std::string(" was called on the hub's own stack"));
  }
  Meeting meeting(item, move);
  line_up(side, meeting, *hub);
  hold.unlock();
  core::Wake why = hub->try_park(what_waits(side == Side::Put), -1, deadline);
  return meeting.served() ? Outcome::Ok : wait_in_line(side, meeting, deadline, why);
}

// Leaves the line however the wait ends, and frees the lock.
class QueueCore::InLine {
 public:
  InLine(WaitQueue& line, SpinLock& lock, Waiter& waiter) noexcept
      : hold(lock, std::defer_lock), line_(line), waiter_(waiter) {}
  InLine(const InLine&) = delete;
  InLine& operator=(const InLine&) = delete;
  ~InLine() {
    if (!waiter_.served) line_.unlink(waiter_);
    if (hold.owns_lock()) hold.unlock();
    if (met.elsewhere != nullptr) WaitQueue::post(*met.elsewhere);
    WaitQueue::stay(waiter_, "leaving a rendezvous");
  }

  std::unique_lock<SpinLock> hold;
  Met met;

 private:
  WaitQueue& line_;
  Waiter& waiter_;
};

// Woken, but not served: somebody may have come whom it could not meet while it was not parked.
QueueCore::Outcome QueueCore::wait_in_line(Side side, Meeting& meeting, Deadline deadline,
                                           core::Wake why) {
  core::Hub& hub = *meeting.waiter.hub;
  core::Greenlet& self = *meeting.waiter.greenlet;
  Met met;
  {
    InLine place(line(side), lock_, meeting.waiter);
    for (;;) {
      place.hold.lock();
      if (meeting.waiter.served) return Outcome::Ok;
      if (why == core::Wake::Interrupted && (self.pending & core::pending_throw) != 0) {
        core::throw_pending(self);
      }
      if (closed()) return Outcome::Closed;
      place.met = met = serve_other(side, meeting.waiter.item, meeting.move, &hub);
      if (met) break;
      if (why == core::Wake::TimedOut) return Outcome::Late;
      line(side).renew(meeting.waiter);
      place.hold.unlock();
      why = hub.try_park(what_waits(side == Side::Put), -1, deadline);
      if (meeting.served()) return Outcome::Ok;
    }
  }
  let_go_first(side, met, deadline, &hub);
  return Outcome::Ok;
}

#ifdef FERN_INLINE_SWITCH
// What is usual: nothing is thrown, nothing pends, and the other side is in this hub.
template <QueueCore::Side side>
__attribute__((always_inline)) inline Passage QueueCore::prepare(Meeting& meeting) {
  core::Hub* hub = core::Hub::here();
  std::unique_lock hold(lock_);
  if (hub == nullptr || closed() || hub->running().pending != 0) [[unlikely]] {
    hold.unlock();
    bool met = meet(side, meeting.waiter.item, meeting.move, {}) == Outcome::Ok;
    meeting.waiter.arrived = meeting.waiter.served = met;
    return {};
  }
  if (!line(other(side)).empty()) {
    if (Met met = serve_other(side, meeting.waiter.item, meeting.move, hub)) {
      hold.unlock();
      meeting.waiter.arrived = meeting.waiter.served = true;
      if (met.elsewhere != nullptr) [[unlikely]] {
        WaitQueue::post(*met.elsewhere);
        return {};
      }
      return side == Side::Put ? hub->prepare_last() : Passage{};
    }
  }
  line_up(side, meeting, *hub);
  hold.unlock();
  return hub->prepare_park(what_waits(side == Side::Put));
}

Passage QueueCore::prepare_put(Meeting& meeting) { return prepare<Side::Put>(meeting); }
Passage QueueCore::prepare_get(Meeting& meeting) { return prepare<Side::Get>(meeting); }

QueueCore::Outcome QueueCore::conclude(Side side, Meeting& meeting) {
  core::Greenlet* self = meeting.waiter.greenlet;
  return self == nullptr ? Outcome::Closed : wait_in_line(side, meeting, {}, self->woken);
}
#endif

bool QueueCase::attempt() {
  bool put = side_ == QueueCore::Side::Put;
  if (core_.closed() && (put || core_.size() == 0)) {
    closed_ = true;
  } else if (core_.rendezvous()) {
    met_ = core_.serve_other(side_, waiter_.item, move_, core::Hub::here());
    return met_.any;
  } else if (put ? !core_.has_room() : core_.size() == 0) {
    return false;
  } else {
    move_kept();
    put ? core_.added() : core_.removed();
  }
  return true;
}

void QueueCase::unlocked() noexcept {
  if (met_.elsewhere != nullptr) WaitQueue::post(*met_.elsewhere);
}

void QueueCase::finish(Deadline deadline) noexcept {
  if (met_) QueueCore::let_go_first(side_, met_, deadline, core::Hub::here());
}

std::ptrdiff_t QueueCore::balance() noexcept {
  std::lock_guard hold(lock_);
  return static_cast<std::ptrdiff_t>(putters_.size()) -
         static_cast<std::ptrdiff_t>(getters_.size());
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
