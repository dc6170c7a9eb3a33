#pragma once

// What group.cpp and pool.cpp share: the records of a pool's members.

#include "core/greenlet.hpp"

#include <fern/detail/members.hpp>
#include <fern/detail/wait_queue.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace fern::detail {

// Member is told when its greenlet ends: the first of its links, so that whoever joins the
// greenlet finds it gone from its pool.
struct Member : core::Link {
  Member* next_member = nullptr;  // a ring with a list's head in it
  Member* previous_member = nullptr;
  Members* members = nullptr;
  core::Greenlet* greenlet = nullptr;
  bool dying = false;    // killed by kill_members, and in its other list
  bool on_heap = false;  // its MemberRoom is: the greenlet was added
};
static_assert(sizeof(Member) <= sizeof(MemberRoom));
static_assert(std::is_trivially_destructible_v<Member>);

// MemberList is a ring, so that a member leaves it without knowing which one it is.
class MemberList {
 public:
  MemberList() noexcept { head_.next_member = head_.previous_member = &head_; }
  MemberList(const MemberList&) = delete;
  MemberList& operator=(const MemberList&) = delete;

  bool empty() const noexcept { return head_.next_member == &head_; }
  Member* first() noexcept { return empty() ? nullptr : head_.next_member; }
  Member* after(Member& member) noexcept {
    return member.next_member == &head_ ? nullptr : member.next_member;
  }
  void append(Member& member) noexcept {
    member.previous_member = head_.previous_member;
    member.next_member = &head_;
    head_.previous_member->next_member = &member;
    head_.previous_member = &member;
  }
  static void remove(Member& member) noexcept {
    member.previous_member->next_member = member.next_member;
    member.next_member->previous_member = member.previous_member;
  }

 private:
  Member head_;
};

struct Members {
  explicit Members(std::size_t limit) noexcept : limit(limit) {}

  core::Hub* hub = nullptr;  // whose thread may use it; null until the first greenlet
  unsigned forks = 0;        // the hub's, when the lists were last true
  std::size_t references = 1;
  std::size_t limit;
  std::size_t count = 0;    // members, and places given to those about to be
  std::size_t killers = 0;  // who wait in kill_members
  MemberList alive;
  MemberList dying;
  SpinLock lock;        // the queues' ask for one; nobody contends for it
  WaitQueue spawners;   // who wait for a place
  WaitQueue emptiness;  // who wait for the end of all

  // Told of each member that ended by an exception, while it still counts. A TaskGroup's.
  void (*failed)(void* owner, core::Greenlet& member) noexcept = nullptr;
  void* owner = nullptr;

  bool full() const noexcept { return count >= limit; }
};

// check_thread() throws a GreenletError in a thread that is not the members' own.
void check_thread(Members& members);

// wait_for_place() waits until there is room and takes it; false when the deadline passed.
bool wait_for_place(Members& members, Deadline deadline);

// watch_for_place() waits until there is room, or the deadline has passed, and takes none.
void watch_for_place(Members& members, Deadline deadline);

// places_left() wakes whom a change of limit or count lets in.
void places_left(Members& members) noexcept;

// Retained counts the records while somebody works with them; keep() hands the count over.
class Retained {
 public:
  explicit Retained(Members& members) noexcept : members_(&members) { retain(members); }
  Retained(const Retained&) = delete;
  Retained& operator=(const Retained&) = delete;
  ~Retained() {
    if (members_ != nullptr) release(*members_);
  }

  Members& keep() noexcept { return *std::exchange(members_, nullptr); }

 private:
  Members* members_;
};

}  // namespace fern::detail
