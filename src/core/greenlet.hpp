#pragma once

// Greenlet is the control block: all that Fern knows of one greenlet. It never moves. Only its
// hub's thread touches it, but for `life` and `strangers`.
//
//   Unstarted --start--> Ready <--wake-- Parked
//       |                  |   --park-->   |
//       +----- kill -----> Dead <----------+     the running one counts as Ready
//
// Switches by hand (raw_greenlet.hpp) go from Ready to Suspended and back without the ready queue.
// A raw greenlet starts by one.
//
// Free blocks are in their pool's list. A dead one stays until its last handle goes. A stack is
// lent to it from its first turn to its end; longer only if its task stands there.

#include "core/context.hpp"
#include "core/stack.hpp"

#include <fern/detail/task.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/greenlet.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace fern {
class Value;
}

namespace fern::core {

class Hub;
struct Slab;
struct StackSlot;
struct Link;
struct LocalMap;
struct Stranger;

enum class State : std::uint8_t { Free, Unstarted, Ready, Parked, Suspended, Dead };

// Why park() returned. Interrupted: something is pending, see Pending.
enum class Wake : std::uint8_t { Notified, TimedOut, Interrupted, Closed };

// What waits to be thrown in a greenlet, most urgent first.
enum Pending : std::uint8_t {
  pending_kill = 1,       // kill_exception
  pending_loop_exit = 2,  // main only; kill_exception
  pending_timeout = 4,    // a Timeout scope has expired
  pending_refusal = 8,    // the hub's own stack, always: it may not wait
  pending_fork = 16,      // this is the child of a fork, and nobody has told the hub yet
  pending_look = 32,      // a GreenletExit was thrown: look whether it was swallowed, see exit
};
constexpr std::uint8_t pending_throw = pending_kill | pending_loop_exit | pending_timeout;

enum Flags : std::uint8_t {
  flag_cancelled = 1,  // killed before it started, still in the ready queue: do not run
  flag_killed = 2,     // ended by GreenletExit
  flag_detached = 4,   // spawn_raw: report an exception at once
  flag_read = 8,       // somebody has seen its exception
  flag_linked = 32,    // somebody asked to be called when it ends
  flag_thrown = 64,    // a kill was thrown in it; run_inline's
  flag_raw = 128,      // a raw greenlet: its task is a RawTask
};

// What there is beyond the lines that every greenlet touches: most have nothing of it, and neither
// look there when they end.
enum Extras : std::uint8_t {
  extra_cold = 1,    // one of the members marked so below may be set
  extra_result = 2,  // its task has to be cleared, and is read until then
  extra_stack = 4,   // a stack is lent to it
  extra_size = 8,    // for good: its stacks are not of the default size
  extra_fixed = 16,  // for good: a thread's main or a hub's own, which have no stack of the pool
};

// Why its switches by hand have more to do than to pass a value.
enum Slow : std::uint8_t {
  slow_traced = 1,   // the thread's switches are traced
  slow_orphan = 2,   // its last handle went while it ran: maybe nobody can switch back
  slow_watched = 4,  // a SwitchWatch measures it
};

struct alignas(64) Greenlet {
  // The hot line: all that a switch and the ready queue touch.
  Greenlet* next = nullptr;  // in the free list, or of those dropped
  Context context;
  Hub* hub = nullptr;
  State state = State::Free;
  Wake woken = Wake::Notified;
  std::uint8_t pending = 0;   // Pending bits
  std::uint8_t slow = 0;      // Slow bits
  std::uint8_t flags = 0;     // Flags bits
  std::uint8_t extras = 0;    // Extras bits
  std::uint16_t shields = 0;  // ShieldKill scopes open
  // Handles, plus one until it has ended, and life_ bits. For every thread, as strangers is.
  std::atomic<std::uint64_t> life{0};
  std::uint32_t era = 0;  // its hub's when it was born
  Rounding rounding;      // its spawner's, until it starts

  // The line of its task, where a small one stands: the beginning and the end touch it.
  static constexpr std::size_t room_size = 40;
  alignas(64) std::byte room[room_size];
  detail::Task* task = nullptr;  // in the room, or on top of its stack; null for main
  Link* links = nullptr;         // joiners and callbacks, first come first
  StackSlot* stack = nullptr;    // the one that it has, or had; null before its first turn

  // What it waits on, for dumps: a static string, and a number that goes with it (an fd), or -1.
  const char* waits_for = nullptr;
  std::int64_t waits_on = -1;
  Value* inbox = nullptr;      // where it gets what is passed; Suspended, or raw and Unstarted
  Slab* slab = nullptr;        // null for main and the hub's own
  Greenlet* parent = nullptr;  // a raw greenlet's, counted; cold
  std::exception_ptr error;    // what ended it; cold
  std::exception_ptr kill_exception;        // what to throw in it; cold
  std::shared_ptr<std::atomic<bool>> exit;  // the last GreenletExit's: dismissed? Cold
  Timeout* timeouts = nullptr;              // innermost scope first; cold
  Link* last_link = nullptr;
  Stranger* strangers = nullptr;  // watchers of other hubs; under the hub's strangers_lock
  LocalMap* locals = nullptr;     // cold
  std::string* name = nullptr;    // null: "Greenlet-" and the id; cold
  void* timer = nullptr;          // spawn_later's, until it starts; then libfern_monkey's Thread
  std::uint32_t index = 0;        // in its slab
  std::uint16_t refusals = 0;     // waits that ended so since it was first told; cold
  std::uint8_t told = 0;  // Pending bits that C code has got as an errno, see refuse(); cold
  [[no_unique_address]] ToolContext tools;
};

#if !defined(FERN_ASAN) && !defined(FERN_TSAN)
static_assert(sizeof(Greenlet) <= 256, "a million parked greenlets shall fit 4,400 bytes each");
#endif

constexpr std::uint64_t life_dead = std::uint64_t{1} << 63;
// Strangers may be listed: whoever ends it has to look. Counts like a handle, so that the block
// stays until they are told.
constexpr std::uint64_t life_watched = std::uint64_t{1} << 62;
constexpr std::uint64_t life_raw = std::uint64_t{1} << 61;  // raw and alive: see release_raw()
constexpr std::uint64_t life_unstarted = std::uint64_t{1} << 60;  // raw, and never switched to
constexpr std::uint64_t life_raw_bits = life_raw | life_unstarted;

// Link is told when a greenlet ends, on the hub's thread, in order with the others. It is in the
// list from link() until it is told or unlinked. Telling queues; it never runs user code.
struct Link {
  Link* next = nullptr;
  Link* previous = nullptr;
  void (*ended)(Link*, Greenlet&) noexcept = nullptr;
  LinkId id = 0;  // of a callback of the user's
};

inline bool is_dead(const Greenlet& greenlet) noexcept {
  return (greenlet.life.load(std::memory_order_acquire) & life_dead) != 0;
}

// add_to_life() returns what it was. As long as the process has one thread plain stores do, as for
// a SpinLock: that is a tenth of a short greenlet's life.
inline std::uint64_t add_to_life(Greenlet& greenlet, std::uint64_t change) noexcept {
#ifdef FERN_KNOWS_ALONE
  if (__libc_single_threaded != 0) {
    const std::uint64_t before = greenlet.life.load(std::memory_order_relaxed);
    greenlet.life.store(before + change, std::memory_order_relaxed);
    return before;
  }
#endif
  return greenlet.life.fetch_add(change, std::memory_order_acq_rel);
}

// leave_raw() makes a greenlet that ends one whose last handle does not matter.
inline void leave_raw(Greenlet& ending) noexcept {
  if ((ending.flags & flag_raw) == 0) return;
  ending.life.fetch_and(~life_raw_bits, std::memory_order_relaxed);
}

// mark_dead() tells other threads, which may read from now on how it ended; returns `life` before.
inline std::uint64_t mark_dead(Greenlet& ended) noexcept {
  leave_raw(ended);
  return ended.life.fetch_or(life_dead, std::memory_order_acq_rel);
}

// At the very top of each stack, for a message about a raw greenlet from other threads.
constexpr std::size_t homecoming = 64;

// task_in_room() asks whether its task is a small one, which stands in the block.
inline bool task_in_room(const Greenlet& greenlet) noexcept {
  return static_cast<const void*>(greenlet.task) == static_cast<const void*>(greenlet.room);
}

// forget_start() cancels and frees spawn_later's timer, if there is one.
void forget_start(Greenlet& greenlet) noexcept;

// end_unstarted() ends one that will never run, as by this exception; null is a GreenletExit.
void end_unstarted(Greenlet& greenlet, std::exception_ptr exception) noexcept;

// postpone_start() moves the start of one that spawn_later's timer still holds; false if none does.
bool postpone_start(Greenlet& greenlet, Deadline when) noexcept;

// While there is none last_link says nothing: most have one joiner, and spare its line.
inline void link(Greenlet& greenlet, Link& link) noexcept {
  link.next = nullptr;
  if (greenlet.links == nullptr) {
    link.previous = nullptr;
    greenlet.links = &link;
  } else {
    link.previous = greenlet.last_link;
    link.previous->next = &link;
  }
  greenlet.last_link = &link;
}

inline void unlink(Greenlet& greenlet, Link& link) noexcept {
  (link.previous == nullptr ? greenlet.links : link.previous->next) = link.next;
  (link.next == nullptr ? greenlet.last_link : link.next->previous) = link.previous;
  link.next = link.previous = nullptr;
}

// tell_links() tells joiners and callbacks, in order, that it has ended.
inline void tell_links(Greenlet& ended) noexcept {
  while (Link* link = ended.links) {
    ended.links = link->next;
    if (link->next != nullptr) link->next->previous = nullptr;
    link->next = link->previous = nullptr;
    link->ended(link, ended);
  }
}

// tell_strangers() is for a dead greenlet with life_watched set: it tells the watchers of other
// hubs, and takes the bit away, which may free the block. end_watch.cpp.
void tell_strangers(Greenlet& ended) noexcept;

// retain() and release() count handles. The last one frees the block, from whichever thread, by
// free_dead().
void retain(Greenlet& greenlet) noexcept;
void release(Greenlet& greenlet) noexcept;
void free_dead(Greenlet& dead) noexcept;

inline std::uint64_t id_of(const Greenlet& greenlet) noexcept {
  return greenlet.slab == nullptr ? 0 : greenlet.slab->first_id + greenlet.index;
}
std::string name_of(const Greenlet& greenlet);

// interrupt() makes `bit` pending and wakes the greenlet if it may be thrown into now: parked or
// suspended, not shielded, not unwinding. Otherwise it meets it at its next wait. Only in its hub's
// thread.
void interrupt(Greenlet& greenlet, Pending bit) noexcept;

// interruptible() asks whether something is pending that may be thrown in the running greenlet.
FERN_INTERNAL bool interruptible(const Greenlet& running, const EhGlobals& live) noexcept;

// refuse() is for a wait of C code, which no exception may cross, when interruptible(): notes that
// what is pending has been told by an errno, which it returns: ECANCELED for a kill, ETIMEDOUT for
// a Timeout. It stays pending. Lets others run first, and after a thousand times sleeps as well.
FERN_INTERNAL int refuse(Greenlet& running) noexcept;
constexpr std::uint32_t patient_refusals = 1000;

// told_of_refusals is called, once, of a greenlet that has been refused so often; null: nobody
// asks. In its thread, on its stack.
extern constinit std::atomic<void (*)(const Greenlet&) noexcept> told_of_refusals;

// throw_pending() throws the most urgent pending thing of the running greenlet.
[[noreturn]] void throw_pending(Greenlet& running);

// look_for_exit() reports, once per kill, that the running greenlet goes on though a kill has
// thrown a GreenletExit in it: called at its waits while pending_look is set.
void look_for_exit(Greenlet& running, const EhGlobals& live) noexcept;

// kill() in the greenlet's own hub's thread; does not wait. Null is a GreenletExit.
FERN_INTERNAL void kill(Greenlet& greenlet, std::exception_ptr exception) noexcept;

// forget_cold() lets go of what stands in the cold members.
void forget_cold(Greenlet& dead) noexcept;

// let_go_of_stack() is for one that has ended and still runs there.
inline void let_go_of_stack(Greenlet& ended) noexcept {
  ended.extras &= static_cast<std::uint8_t>(~extra_stack);
  ended.stack->user = nullptr;
}

// begins() asks whether a greenlet that is to go on has no stack yet.
inline bool begins(const Greenlet& greenlet) noexcept { return greenlet.context.sp == nullptr; }

// locals_ended() destroys the greenlet's GreenletLocal values; set by sync/local.cpp, which lies
// above. Runs on the greenlet's stack.
extern void (*locals_ended)(Greenlet&) noexcept;

// report() prints a greenlet's unread exception on stderr.
void report(const Greenlet& greenlet) noexcept;

// throw_expired() throws the TimeoutError of the scope that expired first; rearm_timeouts() starts
// the timers of its scopes anew; pending_scopes() counts those that have one. timeout.cpp.
[[noreturn]] void throw_expired(Greenlet& running);
void rearm_timeouts(Greenlet& greenlet) noexcept;
std::size_t pending_scopes(const Greenlet& greenlet) noexcept;

// from_open_scope() asks whether a scope that this greenlet still has open threw the error.
bool from_open_scope(const Greenlet& running, const TimeoutError& error) noexcept;

// --- what of StackPool every life passes

inline StackSizes& StackPool::class_of(const Greenlet& block) noexcept {
  return (block.extras & extra_size) == 0 ? default_ : *block.slab->sizes;
}

inline Greenlet* StackPool::take_used() noexcept {
  Greenlet* block = default_.free;
  if (block == nullptr) return nullptr;
  default_.free = block->next;
  --stats_.free;
  return block;
}

inline void StackPool::give(Greenlet* block) noexcept {
  Class& sizes = class_of(*block);
  block->state = State::Free;
  block->next = sizes.free;
  sizes.free = block;
  ++stats_.free;
}

inline const StackSlot* StackPool::lend(Greenlet& block) noexcept {
  Class& sizes = class_of(block);
  StackSlot* slot = sizes.free_stacks;
  if (slot == nullptr) [[unlikely]] {
    slot = &fresh_stack(sizes);
  } else {
    sizes.free_stacks = slot->next;
    if (--sizes.free_count < sizes.unused) sizes.unused = sizes.free_count;
    if (slot->cold) [[unlikely]] {
      slot->cold = false;
      --sizes.cold;
      --stats_.given_back;
    }
  }
  slot->user = &block;
  slot->lent = true;
  block.stack = slot;
  block.extras |= extra_stack;
  block.tools = slot->tools;
#ifdef FERN_ASAN
  stack_reused(sizes.stack(*slot));
#endif
  return sizes.free_stacks;
}

inline void StackPool::give_stack(StackSlot& slot, const Greenlet& user) noexcept {
  Class& sizes = class_of(user);
  slot.tools = user.tools;
  slot.lent = false;
  slot.next = sizes.free_stacks;
  sizes.free_stacks = &slot;
  ++sizes.free_count;
}

}  // namespace fern::core
