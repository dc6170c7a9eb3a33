#include <fern/pool.hpp>

#include "pool/members.hpp"

#include <fern/errors.hpp>

#include <cstddef>
#include <stdexcept>

namespace fern {
namespace {

std::size_t checked(std::ptrdiff_t size) {
  if (size < 0) throw std::invalid_argument("GreenPool: the size is negative");
  return static_cast<std::size_t>(size);
}

}  // namespace

GreenPool::GreenPool(std::ptrdiff_t size) : members_(detail::make_members(checked(size))) {}

GreenPool::~GreenPool() { detail::release(*members_); }

void GreenPool::add(const AnyGreenlet& greenlet, Deadline deadline) {
  detail::add_member(*members_, greenlet, deadline);
}

bool GreenPool::discard(const AnyGreenlet& greenlet) {
  return detail::discard_member(*members_, greenlet);
}

bool GreenPool::contains(const AnyGreenlet& greenlet) const noexcept {
  return detail::is_member(*members_, greenlet);
}

std::size_t GreenPool::size() const noexcept { return members_->limit; }

std::size_t GreenPool::running() const noexcept { return members_->count; }

std::size_t GreenPool::free() const noexcept {
  return members_->full() ? 0 : members_->limit - members_->count;
}

std::size_t GreenPool::wait_available(Deadline deadline) {
  detail::watch_for_place(*members_, deadline);
  return free();
}

std::size_t GreenPool::waiting() const noexcept { return members_->spawners.size(); }

void GreenPool::resize(std::ptrdiff_t size) {
  detail::check_thread(*members_);
  members_->limit = checked(size);
  detail::places_left(*members_);
}

bool GreenPool::waitall(Deadline deadline) { return detail::wait_for_members(*members_, deadline); }

bool GreenPool::kill(const KillOptions& options) {
  return detail::kill_members(*members_, options);
}

}  // namespace fern
