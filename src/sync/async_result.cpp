#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/detail/async_state.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>

#include <mutex>
#include <stdexcept>

namespace fern::detail {

AsyncState::~AsyncState() {
  while (links_ != nullptr) links_ = std::move(links_->next);  // a long chain, without recursion
  if (who_ == nullptr || exception_ == nullptr || read_.load(std::memory_order_relaxed)) return;
  try {
    std::rethrow_exception(exception_);
  } catch (...) {
    core::report_current(who_);
  }
}

std::exception_ptr AsyncState::exception() const {
  std::lock_guard hold(lock_);
  read_.store(true, std::memory_order_relaxed);
  return exception_;
}

bool AsyncState::wait_slow(Deadline deadline) {
  std::lock_guard hold(lock_);
  return waiters_.wait(lock_, deadline, "AsyncResult::get()", [this](bool) { return ready(); });
}

void* AsyncState::get(Deadline deadline) {
  if (!wait(deadline)) throw TimeoutError("nothing was set in time");
  if (void* set = value()) return set;
  std::rethrow_exception(exception());
}

std::unique_ptr<AsyncLink> AsyncState::announce() noexcept {
  waiters_.notify_all();
  last_link_ = nullptr;
  std::unique_ptr<AsyncLink> links = std::move(links_);
  lock_.unlock(ready_bit);
  return links;
}

AsyncState::Published AsyncState::publish(AsyncBox& box, bool replace) {
  lock_.lock();
  if (ready() && !replace) {
    lock_.unlock();
    return {};
  }
  box.older = std::exchange(boxes_, &box);
  value_.store(box.value, std::memory_order_release);
  return {true, announce()};
}

AsyncState::Published AsyncState::publish(std::exception_ptr exception) {
  if (exception == nullptr) {
    throw std::invalid_argument("AsyncResult::set_exception(): no exception");
  }
  lock_.lock();
  exception_.swap(exception);  // the old one goes when the lock is free
  return {true, announce()};
}

std::unique_ptr<AsyncLink> AsyncState::add_link(std::unique_ptr<AsyncLink> link) {
  link->hub = &Hub::current();
  std::lock_guard hold(lock_);
  if (ready()) return link;
  AsyncLink* added = link.get();
  (last_link_ == nullptr ? links_ : last_link_->next) = std::move(link);
  last_link_ = added;
  return nullptr;
}

void spawn_in(Hub& hub, Function<void()> f) noexcept {
  try {
    if (&hub == core::Hub::mine()) {
      spawn_raw(std::move(f));
    } else {
      hub.post([f = std::move(f)]() mutable { spawn_raw(std::move(f)); });
    }
  } catch (...) {
    core::report_current("a function given to AsyncResult::link");
  }
}

}  // namespace fern::detail
