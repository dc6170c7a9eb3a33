#include <fern/group.hpp>

#include "core/hub.hpp"
#include "pool/members.hpp"

#include <fern/errors.hpp>

#include <mutex>
#include <new>
#include <utility>

namespace fern::detail {
namespace {

// A place is free again.
void leave(Members& members) noexcept {
  --members.count;
  places_left(members);
  if (members.count == 0) members.emptiness.notify_all();
}

// The greenlet goes on, or ends, without being a member.
void forget(Member& member) noexcept {
  Members& members = *member.members;
  MemberList::remove(member);
  if (member.on_heap) delete reinterpret_cast<MemberRoom*>(&member);
  leave(members);
  release(members);
}

void member_ended(core::Link* link, core::Greenlet& ended) noexcept {
  auto* member = static_cast<Member*>(link);
  Members& members = *member->members;
  if (members.failed != nullptr && ended.error != nullptr) members.failed(members.owner, ended);
  forget(*member);
}

// Takes over the place's count of the records.
void enrol(Members& members, Member& member, core::Greenlet& greenlet) noexcept {
  member.ended = member_ended;
  member.members = &members;
  member.greenlet = &greenlet;
  core::link(greenlet, member);
  if (members.failed != nullptr) greenlet.flags |= core::flag_linked;  // it may get a handle
  members.alive.append(member);
  if (members.killers > 0) members.emptiness.notify_all();
}

// A greenlet has few links, a pool many members.
Member* find(const Members& members, const core::Greenlet& greenlet) noexcept {
  for (core::Link* link = greenlet.links; link != nullptr; link = link->next) {
    if (link->ended != member_ended) continue;
    auto* member = static_cast<Member*>(link);
    if (member->members == &members) return member;
  }
  return nullptr;
}

// The child of a fork has but the greenlet that forked; the others were not told their end.
void forget_the_gone(Members& members, MemberList& list) noexcept {
  for (Member* member = list.first(); member != nullptr;) {
    Member* next = list.after(*member);
    if (core::is_dead(*member->greenlet)) {
      MemberList::remove(*member);
      --members.references;  // never the last: somebody is calling
    } else {
      ++members.count;
    }
    member = next;
  }
}

core::Greenlet* running_member(const Members& members) noexcept {
  core::Greenlet& running = core::Hub::current().running();
  return find(members, running) != nullptr ? &running : nullptr;
}

// Kills everybody not killed yet, the caller last: it shall get to the others first.
void kill_once(Members& members, const std::exception_ptr& exception) noexcept {
  core::Greenlet& running = core::Hub::current().running();
  bool self = false;
  while (Member* member = members.alive.first()) {
    MemberList::remove(*member);
    members.dying.append(*member);
    member->dying = true;
    if (member->greenlet == &running) {
      self = true;
    } else {
      core::kill(*member->greenlet, exception);  // one that never started is forgotten here
    }
  }
  if (self) core::kill(running, exception);
}

}  // namespace

Members* make_members(std::size_t limit) { return new Members(limit); }

void retain(Members& members) noexcept { ++members.references; }

void release(Members& members) noexcept {
  if (--members.references == 0) delete &members;
}

void check_thread(Members& members) {
  core::Hub& hub = core::Hub::current();
  if (members.hub != &hub) {
    if (members.hub != nullptr) {
      throw GreenletError("this Group or GreenPool belongs to another thread");
    }
    members.hub = &hub;
    members.forks = hub.forks();
  }
  hub.loop();  // counts a fork
  if (members.forks != hub.forks()) [[unlikely]] {
    members.forks = hub.forks();
    members.count = 0;
    forget_the_gone(members, members.alive);
    forget_the_gone(members, members.dying);
  }
}

void places_left(Members& members) noexcept {
  if (!members.full()) members.spawners.notify_one();
}

namespace {

// Whoever leaves the queue, however that ends, wakes the next while there is room. Those who were
// told may have gone; and a place that came free when all who waited were about to leave, killed or
// too late, has told nobody, while a newcomer has queued up behind them.
struct HandOn {
  Members& members;
  ~HandOn() { places_left(members); }
};

}  // namespace

bool wait_for_place(Members& members, Deadline deadline) {
  std::lock_guard lock(members.lock);
  HandOn next{members};
  auto take = [&](bool notified) noexcept {
    // A newcomer lets those go first who wait already.
    if (members.full() || (!notified && !members.spawners.empty())) return false;
    ++members.count;
    return true;
  };
  bool got = members.spawners.wait(members.lock, deadline, "a place in a pool", take);
  // A place that came free together with the deadline is taken.
  if (!got && !members.full() && members.spawners.empty()) {
    ++members.count;
    got = true;
  }
  return got;
}

void watch_for_place(Members& members, Deadline deadline) {
  check_thread(members);
  Retained retained(members);
  std::lock_guard lock(members.lock);
  HandOn next{members};  // it takes none
  members.spawners.wait(members.lock, deadline, "wait_available()",
                        [&](bool notified) noexcept { return notified || !members.full(); });
}

Place::Place(Members& members, Deadline deadline) {
  check_thread(members);
  if (members.full() || !members.spawners.empty()) [[unlikely]] {
    if (running_member(members) != nullptr) {
      if (members.full()) return;
    } else {
      Retained retained(members);
      if (!wait_for_place(members, deadline)) throw TimeoutError("the pool stayed full");
      members_ = &retained.keep();
      return;
    }
  }
  ++members.count;
  retain(members);
  members_ = &members;
}

Place::~Place() {
  if (members_ == nullptr) return;
  leave(*members_);
  release(*members_);
}

void Place::give(core::Greenlet* block, MemberRoom& record, bool on_heap) noexcept {
  auto* member = ::new (static_cast<void*>(record.room)) Member;
  member->on_heap = on_heap;
  enrol(*std::exchange(members_, nullptr), *member, *block);
}

void add_member(Members& members, const AnyGreenlet& greenlet, Deadline deadline) {
  core::Greenlet* block = Access::block(greenlet);
  if (block == nullptr) throw GreenletError("add(): this handle is empty");
  check_thread(members);
  if (block->hub != members.hub)
    throw GreenletError("add(): the greenlet belongs to another thread");
  if (core::is_dead(*block) || find(members, *block) != nullptr) return;
  Place place(members, deadline);
  if (!place.taken()) throw GreenletError("add(): the caller is a member of this full pool");
  if (core::is_dead(*block)) return;  // it ended while the pool was full
  place.give(block, *new MemberRoom, true);
}

bool discard_member(Members& members, const AnyGreenlet& greenlet) {
  core::Greenlet* block = Access::block(greenlet);
  if (block == nullptr || core::is_dead(*block)) return false;
  check_thread(members);
  if (block->hub != members.hub) return false;
  Member* member = find(members, *block);
  if (member == nullptr) return false;
  core::unlink(*block, *member);
  forget(*member);
  return true;
}

bool is_member(const Members& members, const AnyGreenlet& greenlet) noexcept {
  core::Greenlet* block = Access::block(greenlet);
  return block != nullptr && block->hub == core::Hub::mine() && find(members, *block) != nullptr;
}

bool called_by_member(Members& members) {
  check_thread(members);
  return running_member(members) != nullptr;
}

std::size_t count_of(const Members& members) noexcept { return members.count; }

bool wait_for_members(Members& members, Deadline deadline) {
  check_thread(members);
  if (members.count > 0 && running_member(members) != nullptr) {
    throw GreenletError("waitall(): a member cannot wait for its own end");
  }
  Retained retained(members);
  std::lock_guard lock(members.lock);
  // One empty moment is enough, though somebody may have spawned again since.
  return members.emptiness.wait(members.lock, deadline, "waitall()", [&](bool notified) noexcept {
    return notified || members.count == 0;
  });
}

bool kill_members(Members& members, const KillOptions& options) {
  check_thread(members);
  Retained retained(members);
  for (;;) {
    kill_once(members, options.exception);
    if (members.count == 0 || !options.block) break;
    struct Killing {
      Members& members;
      explicit Killing(Members& members) noexcept : members(members) { ++members.killers; }
      ~Killing() { --members.killers; }
    } killing(members);
    std::lock_guard lock(members.lock);
    bool changed = members.emptiness.wait(
        members.lock, options.deadline, "kill()",
        [&](bool) noexcept { return members.count == 0 || !members.alive.empty(); });
    if (!changed) break;
  }
  return members.count == 0;
}

}  // namespace fern::detail

namespace fern {

Group::Group() : members_(detail::make_members(detail::unlimited)) {}

Group::~Group() { detail::release(*members_); }

void Group::add(const AnyGreenlet& greenlet) { detail::add_member(*members_, greenlet, {}); }

bool Group::discard(const AnyGreenlet& greenlet) {
  return detail::discard_member(*members_, greenlet);
}

bool Group::contains(const AnyGreenlet& greenlet) const noexcept {
  return detail::is_member(*members_, greenlet);
}

std::size_t Group::size() const noexcept { return detail::count_of(*members_); }

bool Group::waitall(Deadline deadline) { return detail::wait_for_members(*members_, deadline); }

bool Group::kill(const KillOptions& options) { return detail::kill_members(*members_, options); }

}  // namespace fern
