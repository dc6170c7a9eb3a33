#include "core/greenlet.hpp"

#include "base/assert.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"
#include "core/stack.hpp"

#include <fern/errors.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace fern::core {

namespace {

// spawn_later's, on the heap until the greenlet starts or is cancelled.
struct StartTimer : Timer {
  Greenlet* greenlet = nullptr;
};

void schedule(Greenlet& greenlet) noexcept {
  delete static_cast<StartTimer*>(greenlet.timer);
  greenlet.timer = nullptr;
  greenlet.hub->push(greenlet);
}

// Returns its parent, to be released.
Greenlet* free_one(Greenlet& dead) noexcept {
  Greenlet* parent = nullptr;
  if ((dead.extras & (extra_cold | extra_result | extra_fixed)) != 0) {
    parent = std::exchange(dead.parent, nullptr);
    if (dead.error != nullptr && (dead.flags & flag_read) == 0) report(dead);
    if ((dead.extras & extra_fixed) != 0) {
      dead.hub->reuse();
      return nullptr;
    }
    if ((dead.extras & extra_result) != 0) dead.task->clear();
  }
  if (dead.hub == Hub::mine()) {
    dead.hub->recycle(dead);
    return parent;
  }
  // Another thread's, which may be about to leave its stack.
  struct Return : detail::Remote {
    Greenlet* dead = nullptr;
  };
  static_assert(sizeof(Return) <= Greenlet::room_size);
  auto* back = ::new (static_cast<void*>(dead.room)) Return;
  back->dead = &dead;
  back->run = [](detail::Remote* remote) noexcept {
    Greenlet& returned = *static_cast<Return*>(remote)->dead;
    returned.hub->recycle(returned);
  };
  dead.hub->post(*back);
  return parent;
}

// Lets go of one handle; returns whose handle has to go next.
Greenlet* let_go(Greenlet& greenlet) noexcept {
  // The only handle of a dead greenlet needs no atomic write: nobody else has it.
  std::uint64_t before = greenlet.life.load(std::memory_order_acquire);
  if (before != (life_dead | 1)) {
    if ((before & life_raw) != 0) [[unlikely]]
      return release_raw(greenlet);
    if (add_to_life(greenlet, ~std::uint64_t{0}) != (life_dead | 1)) return nullptr;
  }
  return free_one(greenlet);
}

// What comes before life_dead: afterwards other threads may read how it ended.
void settle(Greenlet& ended) noexcept {
  ended.state = State::Dead;
  ended.hub->ended();
  leave_raw(ended);
  if ((ended.flags & flag_detached) != 0 && ended.error != nullptr) report(ended);
}

// Marks it dead, tells who watches, and drops its own count. The block may be free afterwards.
void depart(Greenlet& ended) noexcept {
  settle(ended);
  if ((ended.flags & flag_linked) != 0) {
    // Callbacks get handles and destroy some: ours goes last.
    std::uint64_t before = ended.life.fetch_or(life_dead, std::memory_order_acq_rel);
    tell_links(ended);
    if ((before & life_watched) != 0) tell_strangers(ended);
    if (ended.life.fetch_sub(1, std::memory_order_acq_rel) == (life_dead | 1)) free_dead(ended);
    return;
  }
  std::uint64_t before = add_to_life(ended, life_dead - 1);
  tell_links(ended);
  if ((before & life_watched) != 0) [[unlikely]] {
    tell_strangers(ended);
  } else if (before == 1) {
    free_dead(ended);
  }
}

bool is_exit(const std::exception_ptr& exception) noexcept {
  if (exception == nullptr) return true;
  try {
    std::rethrow_exception(exception);
  } catch (const GreenletExit&) {
    return true;
  } catch (...) {
    return false;
  }
}

// Lets go of its own stack, unless its result stands there. Nobody has it before we have left.
void leave_stack(Greenlet& self) noexcept {
  if ((self.extras & extra_result) == 0 || task_in_room(self)) let_go_of_stack(self);
}

void run_task(Greenlet& self) {
  self.state = State::Ready;
  try {
    self.task->run();
  } catch (const abi::__forced_unwind&) {
    // pthread_exit or pthread_cancel: leaves the thread, not the greenlet.
    self.hub->leave_thread();
    throw;
  } catch (const GreenletExit& exit) {
    self.flags |= flag_killed;
    if (is_raw(self)) keep_exit(self, exit);
  } catch (...) {
    self.error = std::current_exception();
    self.extras |= extra_cold;
  }
}

// C code was told of a kill by an errno, and the function ended before a wait could throw it: that
// is its end, whatever it made of the errno.
void end_as_killed(Greenlet& self) noexcept {
  self.pending &= static_cast<std::uint8_t>(~pending_kill);
  std::exception_ptr exception = std::exchange(self.kill_exception, nullptr);
  self.error = nullptr;
  self.flags &= static_cast<std::uint8_t>(~flag_killed);
  if (is_exit(exception)) {
    self.flags |= flag_killed;
  } else {
    self.error = std::move(exception);
  }
}

// Runs a fresh greenlet's task on the caller's stack and says how that ended in its block; returns
// what was thrown at the caller meanwhile: a kill, or the error of a scope that it has open.
std::exception_ptr run_in_caller(Greenlet& caller, Greenlet& fresh) {
  std::uint8_t before = caller.flags;
  caller.flags &= static_cast<std::uint8_t>(~flag_thrown);
  std::exception_ptr left;
  bool killed = false;
  bool ours = false;
  fresh.state = State::Ready;
  try {
    fresh.task->run();
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const GreenletExit&) {
    left = std::current_exception();
    killed = true;
  } catch (const TimeoutError& error) {
    left = std::current_exception();
    ours = from_open_scope(caller, error);
  } catch (...) {
    left = std::current_exception();
  }
  ours = left != nullptr && (ours || (caller.flags & flag_thrown) != 0);
  caller.flags |= before & flag_thrown;
  fresh.flags &= static_cast<std::uint8_t>(~flag_killed);  // of a fork, see run_inline()
  if (killed || ours) {
    fresh.flags |= flag_killed;
  } else {
    fresh.error = std::move(left);
    fresh.extras |= extra_cold;
  }
  return ours ? left : nullptr;
}

// A greenlet's whole life on its stack. Afterwards the block may be free already. Returns who has
// to go on, null for whoever is next.
__attribute__((always_inline)) inline Greenlet* run_to_end(Greenlet& self) {
  if ((self.flags & flag_cancelled) != 0) [[unlikely]] {
    leave_stack(self);
    release(self);
    return nullptr;
  }
  run_task(self);
  if ((self.pending & pending_fork) != 0) [[unlikely]]
    self.hub->after_fork();
  if ((self.extras & extra_cold) != 0) [[unlikely]] {
    if ((self.told & self.pending & pending_kill) != 0) end_as_killed(self);
    if (self.locals != nullptr) {
      ++self.shields;
      locals_ended(self);
      --self.shields;
    }
    FERN_ASSERT(self.timeouts == nullptr, "fern::Timeout: a scope outlives its greenlet");
  }
  Greenlet* heir = nullptr;
  if (is_raw(self)) [[unlikely]]
    heir = bequeath(self);
  leave_stack(self);
  depart(self);
  return heir;
}

}  // namespace

void (*locals_ended)(Greenlet&) noexcept = nullptr;

// Who begins next does it on the stack where another has just ended, as a function that is called
// after another: no switch, and all of it is in the cache. A stack for which there is nobody rests
// here until it is lent again.
void Hub::run_greenlets() {
  for (;;) {
    Greenlet& self = *running_;
    StackSlot& here = *self.stack;
    bool small = task_in_room(self);
    Greenlet* heir = run_to_end(self);
    if (heir != nullptr) continue_with(*heir);
    Greenlet& to = heir != nullptr ? *heir : first();
    bool ours = here.user == nullptr;
    if (begins(to)) {
      if (small && stacks_.pass_on(here, self, to)) {
        context_take_over(to.rounding, *eh_);
        continue;
      }
      begin(to);
    }
    if (ours) stacks_.give_stack(here, self);
    // Below a large task there is no place to begin.
    context_rest(small ? here.resting : self.context, self.tools, to.context, to.tools, *eh_);
  }
}

void forget_start(Greenlet& greenlet) noexcept {
  auto* timer = static_cast<StartTimer*>(greenlet.timer);
  if (timer == nullptr) return;
  greenlet.hub->timers().cancel(*timer);
  delete timer;
  greenlet.timer = nullptr;
}

// In the ready queue it stays until popped: run_to_end sees the flag.
void end_unstarted(Greenlet& greenlet, std::exception_ptr exception) noexcept {
  bool queued = greenlet.timer == nullptr && !is_raw(greenlet);
  forget_start(greenlet);
  greenlet.flags |= flag_cancelled;
  if (is_exit(exception)) {
    greenlet.flags |= flag_killed;
  } else {
    greenlet.error = std::move(exception);
    greenlet.extras |= extra_cold;
  }
  settle(greenlet);
  // Destructors of the callable may wait, and may drop the last handle.
  retain(greenlet);
  greenlet.task->abandon();
  std::uint64_t before = greenlet.life.fetch_or(life_dead, std::memory_order_acq_rel);
  tell_links(greenlet);
  if ((before & life_watched) != 0) tell_strangers(greenlet);
  release(greenlet);
  if (!queued) release(greenlet);
}

bool postpone_start(Greenlet& greenlet, Deadline when) noexcept {
  auto* timer = static_cast<StartTimer*>(greenlet.timer);
  if (timer == nullptr) return false;
  greenlet.hub->timers().cancel(*timer);
  if (!when.is_never()) greenlet.hub->timers().start(*timer, when.ns());
  return true;
}

void forget_cold(Greenlet& dead) noexcept {
  delete std::exchange(dead.name, nullptr);
  dead.error = nullptr;
  dead.kill_exception = nullptr;
  dead.exit.reset();
  dead.told = 0;
}

void retain(Greenlet& greenlet) noexcept { add_to_life(greenlet, 1); }

void release(Greenlet& greenlet) noexcept {
  // Parents one by one: a line of them may be long.
  Greenlet* next = &greenlet;
  do next = let_go(*next);
  while (next != nullptr);
}

// Maybe on its own stack: once that is free, nothing may run on it that could take one, so its
// parent goes first.
void free_dead(Greenlet& dead) noexcept {
  if ((dead.extras & extra_cold) != 0) [[unlikely]] {
    if (Greenlet* parent = std::exchange(dead.parent, nullptr)) release(*parent);
  }
  free_one(dead);
}

std::string name_of(const Greenlet& greenlet) {
  if (greenlet.name != nullptr) return *greenlet.name;
  if (greenlet.slab == nullptr) return "main";
  return "Greenlet-" + std::to_string(id_of(greenlet));
}

void report(const Greenlet& greenlet) noexcept {
  try {
    std::string who =
        "greenlet " + name_of(greenlet) + " (id " + std::to_string(id_of(greenlet)) + ")";
    try {
      std::rethrow_exception(greenlet.error);
    } catch (...) {
      report_current(who.c_str());
    }
  } catch (...) {
    report_current("a greenlet");
  }
}

}  // namespace fern::core

namespace fern::detail {

namespace {

void be_born(core::Hub& hub, core::Greenlet& block) noexcept {
  block.extras &= core::extra_size;
  block.stack = nullptr;
  block.hub = &hub;
  block.flags = 0;
  block.shields = 0;
  // Its own count and its handle's.
  block.life.store(2, std::memory_order_relaxed);
  hub.born(block);
}

constexpr bool is_small(std::size_t size, std::size_t align) noexcept {
  return size <= core::Greenlet::room_size && align <= alignof(core::Greenlet);
}

__attribute__((noinline)) Room allocate_slowly(std::size_t size, std::size_t align,
                                               const SpawnOptions& options) {
  core::Hub& hub = core::Hub::current();
  hub.loop();  // a forked child starts afresh before its first greenlet
  std::size_t stack_size = options.stack_size == 0
                               ? core::StackPool::default_size
                               : std::max(options.stack_size, core::StackPool::smallest_size);
  // A large callable brings its own room.
  std::size_t room = size + align;
  if (room > stack_size / 8 && __builtin_add_overflow(stack_size, room, &stack_size)) {
    throw std::bad_alloc();
  }
  hub.make_room();
  core::Greenlet* block = hub.stacks().take(stack_size);
  std::string* name = nullptr;
  if (!options.name.empty()) {
    try {
      name = new std::string(options.name);
    } catch (...) {
      hub.stacks().give(block);
      throw;
    }
  }
  be_born(hub, *block);
  if (name != nullptr) {
    block->name = name;
    block->extras |= core::extra_cold;
  }
  if (is_small(size, align)) return {block, block->room};
  hub.stacks().lend(*block);
  core::Stack stack = core::stack_of(*block);
  block->stack->resting.sp = nullptr;  // the task takes its place
  auto top = reinterpret_cast<std::uintptr_t>(core::first_frame(*block->stack, stack)) - size;
  top &= ~static_cast<std::uintptr_t>((align > 16 ? align : 16) - 1);
  return {block, reinterpret_cast<void*>(top)};
}

}  // namespace

Room allocate(std::size_t size, std::size_t align, const SpawnOptions& options) {
  core::Hub* hub = core::this_hub;
  if (hub == nullptr || !is_small(size, align) || options.stack_size != 0 ||
      !options.name.empty()) {
    return allocate_slowly(size, align, options);
  }
  core::Greenlet* block = hub->stacks().take_used();
  if (block == nullptr) return allocate_slowly(size, align, options);
  be_born(*hub, *block);
  return {block, block->room};
}

void give_back(core::Greenlet* block) noexcept {
  block->hub->ended();
  block->hub->recycle(*block);
}

void set_task(core::Greenlet* block, Task* task, bool has_result) noexcept {
  // Free until now: while the callable was copied here, nobody could kill it.
  block->task = task;
  block->state = core::State::Unstarted;
  if (has_result) block->extras |= core::extra_result;
  if (core::task_in_room(*block)) {
    block->context.sp = nullptr;
    block->rounding = core::Rounding::here();
  } else {
    core::context_make(block->context, block->tools, core::stack_of(*block),
                       reinterpret_cast<char*>(task));
  }
}

Task* task_of(core::Greenlet* block) noexcept { return block->task; }

void start(core::Greenlet* block) noexcept { block->hub->push(*block); }

void start_detached(core::Greenlet* block) noexcept {
  block->life.store(1, std::memory_order_relaxed);
  block->flags |= core::flag_detached | core::flag_read;
  block->hub->push(*block);
}

void run_inline(core::Greenlet* block, bool detached) {
  if (detached) {
    block->life.store(1, std::memory_order_relaxed);
    block->flags |= core::flag_detached | core::flag_read;
  }
  std::exception_ptr ours = core::run_in_caller(core::Hub::current().running(), *block);
  if (core::is_dead(*block)) [[unlikely]] {
    core::release(*block);  // it has forked: this child took it for one of the gone
  } else {
    core::depart(*block);
  }
  if (ours != nullptr) std::rethrow_exception(std::move(ours));
}

void start_later(core::Greenlet* block, Deadline when) {
  auto* timer = new (std::nothrow) core::StartTimer;
  if (timer == nullptr) {
    block->task->abandon();
    give_back(block);
    throw std::bad_alloc();
  }
  timer->greenlet = block;
  timer->fire = [](core::Timer* fired) noexcept {
    core::schedule(*static_cast<core::StartTimer*>(fired)->greenlet);
  };
  block->timer = timer;
  if (!when.is_never()) block->hub->timers().start(*timer, when.ns());
  if ((block->pending & core::pending_kill) != 0) core::kill(*block, nullptr);
}

}  // namespace fern::detail
