#pragma once

// The greenlets of a Group or GreenPool. Their records outlive the pool object, for the last of
// them ends whenever it likes: Members is counted by its owner, its members and whoever waits in
// it. A member's record stands in the task on its stack, behind the call, so that spawning into a
// pool allocates nothing:
//
//     top of stack  | callable, arguments, result | member's record |
//                   | frames of the greenlet, downwards             v
//
// All of it belongs to one hub's thread: the first that spawned or added.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/task.hpp>
#include <fern/greenlet.hpp>

#include <cstddef>
#include <functional>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

namespace fern::detail {

struct Members;

inline constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

FERN_API Members* make_members(std::size_t limit);
FERN_API void retain(Members& members) noexcept;
FERN_API void release(Members& members) noexcept;

FERN_API void add_member(Members& members, const AnyGreenlet& greenlet, Deadline deadline);
FERN_API bool discard_member(Members& members, const AnyGreenlet& greenlet);
FERN_API bool is_member(const Members& members, const AnyGreenlet& greenlet) noexcept;
FERN_API bool called_by_member(Members& members);
FERN_API std::size_t count_of(const Members& members) noexcept;
FERN_API bool wait_for_members(Members& members, Deadline deadline);
FERN_API bool kill_members(Members& members, const KillOptions& options);

// MemberRoom is where a member's record is made.
struct MemberRoom {
  alignas(void*) std::byte room[9 * sizeof(void*)];
};

// Place is the right to become a member, waited for while the pool is full, first come, first
// served; given back unless a greenlet takes it. A caller who is a member of the full pool would
// wait for itself: it gets none, and runs its function at once.
class FERN_API Place {
 public:
  Place(Members& members, Deadline deadline);
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place();

  bool taken() const noexcept { return members_ != nullptr; }
  void give(core::Greenlet* block, MemberRoom& record, bool on_heap = false) noexcept;

 private:
  Members* members_ = nullptr;
};

template <class T, class Fn, class... Args>
core::Greenlet* make_member(Place& place, const SpawnOptions& options, Fn&& f, Args&&... args) {
  using Made = Call<T, std::decay_t<Fn>, std::decay_t<Args>...>;
  struct Both {
    Made call;
    MemberRoom record;
  };
  Room room = allocate(sizeof(Both), alignof(Both), options);
  struct Undo {
    core::Greenlet* block;
    ~Undo() {
      if (block != nullptr) give_back(block);
    }
  } undo{room.block};
  auto* call = ::new (room.task) Made(std::forward<Fn>(f), std::forward<Args>(args)...);
  undo.block = nullptr;
  set_task(room.block, call, Made::has_result);
  auto* behind = static_cast<std::byte*>(room.task) + (sizeof(Both) - sizeof(MemberRoom));
  place.give(room.block, *::new (static_cast<void*>(behind)) MemberRoom);
  return room.block;
}

template <class Fn, class... Args>
auto spawn_member(Members& members, Deadline deadline, const SpawnOptions& options, Fn&& f,
                  Args&&... args) {
  using T = ResultOf<Fn, Args...>;
  Place place(members, deadline);
  if (place.taken()) {
    auto* block = make_member<T>(place, options, std::forward<Fn>(f), std::forward<Args>(args)...);
    start(block);
    return Access::adopt<Greenlet<T>>(block);
  }
  auto* block = make<T>(options, std::forward<Fn>(f), std::forward<Args>(args)...);
  auto handle = Access::adopt<Greenlet<T>>(block);
  run_inline(block, false);
  return handle;
}

template <class Fn, class... Args>
ResultOf<Fn, Args...> apply_in_member(Members& members, Fn&& f, Args&&... args) {
  if (called_by_member(members)) {
    return std::invoke(std::decay_t<Fn>(std::forward<Fn>(f)),
                       std::decay_t<Args>(std::forward<Args>(args))...);
  }
  return spawn_member(members, {}, {}, std::forward<Fn>(f), std::forward<Args>(args)...).get();
}

template <class Fn, class... Args>
void spawn_raw_member(Members& members, Fn&& f, Args&&... args) {
  Place place(members, {});
  if (place.taken()) {
    start_detached(make_member<void>(place, {}, std::forward<Fn>(f), std::forward<Args>(args)...));
  } else {
    run_inline(make<void>({}, std::forward<Fn>(f), std::forward<Args>(args)...), true);
  }
}

}  // namespace fern::detail
