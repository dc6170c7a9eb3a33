#include <fern/task_group.hpp>

#include "base/assert.hpp"
#include "core/hub.hpp"
#include "pool/members.hpp"

#include <fern/timeout.hpp>

#include <algorithm>

namespace fern {

TaskGroupError::TaskGroupError(const std::string& what, std::vector<std::exception_ptr> errors)
    : std::runtime_error(what),
      errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors))) {}
TaskGroupError::TaskGroupError(const TaskGroupError&) noexcept = default;
TaskGroupError& TaskGroupError::operator=(const TaskGroupError&) noexcept = default;
TaskGroupError::~TaskGroupError() = default;

namespace {

// "fetch: no route to host"
std::string describe(const AnyGreenlet& failed) {
  std::string text = failed.name();
  try {
    std::rethrow_exception(failed.exception());
  } catch (const std::exception& error) {
    text += std::string(": ") + error.what();
  } catch (...) {
  }
  return text;
}

// Waits for one member after the other; false if there is something to be thrown at the caller,
// which stays pending.
bool wait_quietly(detail::Members& members) noexcept {
  core::Hub& hub = core::Hub::current();
  while (members.count > 0) {
    detail::Member* member = members.alive.first();
    if (member == nullptr) member = members.dying.first();
    struct Waker : core::Link {
      core::Greenlet* waiter = nullptr;
    } waker;
    waker.waiter = &hub.running();
    waker.ended = [](core::Link* link, core::Greenlet&) noexcept {
      auto* self = static_cast<Waker*>(link);
      core::Hub::wake(*std::exchange(self->waiter, nullptr), core::Wake::Notified);
    };
    core::Greenlet& watched = *member->greenlet;
    core::link(watched, waker);
    core::Wake why = hub.try_park("~TaskGroup()");
    if (waker.waiter != nullptr) core::unlink(watched, waker);
    if (why == core::Wake::Interrupted) return false;
  }
  return true;
}

}  // namespace

TaskGroup::TaskGroup() : members_(detail::make_members(detail::unlimited)) {
  members_->failed = member_failed;
  members_->owner = this;
}

TaskGroup::~TaskGroup() {
  if (size() > 0) {
    check_thread(*members_);  // counts a fork
    core::Hub& hub = core::Hub::current();
    FERN_ASSERT(size() == 0 || !(hub.on_own_stack() || is_member(*members_, current_greenlet())),
                "fern::TaskGroup::~TaskGroup(): cannot wait for its members here");
    if (std::uncaught_exceptions() > exceptions_ || !wait_quietly(*members_)) end_members();
  }
  members_->failed = nullptr;
  detail::release(*members_);
}

// The last link of a member that failed; the others have been killed, unless it never ran.
void TaskGroup::member_failed(void* group, core::Greenlet& member) noexcept {
  auto* self = static_cast<TaskGroup*>(group);
  core::retain(member);
  self->failures_.push_back(detail::Access::adopt<AnyGreenlet>(&member));
  if (!self->failed_) self->fail();
}

// Whoever fails has a place in failures_ already: there is no memory to be asked for then.
void TaskGroup::admit() {
  if (closed_) throw GreenletError("TaskGroup::spawn(): the group has ended");
  check_thread(*members_);
  std::size_t most = failures_.size() + size() + 1;
  if (most > failures_.capacity()) failures_.reserve(std::max<std::size_t>(2 * most, 8));
}

void TaskGroup::fail() noexcept {
  failed_ = true;
  detail::kill_members(*members_, {.block = false});
}

void TaskGroup::end_members() noexcept {
  ShieldKill shield;
  detail::kill_members(*members_, {});
}

bool TaskGroup::join(Deadline deadline) {
  check_thread(*members_);
  if (size() > 0) {
    if (core::Hub::current().on_own_stack()) {
      throw BlockingInHub("TaskGroup::join() was called on the hub's own stack");
    }
    if (is_member(*members_, current_greenlet())) {
      throw GreenletError("TaskGroup::join(): a member cannot wait for its own end");
    }
    try {
      while (size() > 0) {
        if (!detail::wait_for_members(*members_, deadline)) return false;
      }
    } catch (...) {
      end_members();
      throw;
    }
  }
  closed_ = true;
  throw_failures();
  return true;
}

bool TaskGroup::kill(const KillOptions& options) {
  return detail::kill_members(*members_, options);
}

void TaskGroup::throw_failures() {
  if (failures_.empty()) return;
  if (failures_.size() == 1) std::rethrow_exception(failures_.front().exception());
  std::string what = std::to_string(failures_.size()) + " greenlets of a TaskGroup failed";
  std::vector<std::exception_ptr> errors;
  for (const AnyGreenlet& each : failures_) {
    what += (errors.empty() ? ": " : "; ") + describe(each);
    errors.push_back(each.exception());
  }
  throw TaskGroupError(what, std::move(errors));
}

}  // namespace fern
