// Letting go of the last handle of a raw greenlet: in whatever state it is, wherever that happens.

#include "base/real.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>

#include <new>
#include <string>
#include <utility>

namespace fern::core {
namespace {

using detail::ValueAccess;

void say(const Greenlet& greenlet, const char* what) noexcept {
  try {
    std::string text = "fern: greenlet " + name_of(greenlet) + what + '\n';
    real::write_all(2, text.data(), text.size());
  } catch (...) {
    // A report that finds no memory is not worth dying for.
  }
}

// In another thread, with the last handle.
void send_home(Greenlet& greenlet) noexcept {
  static_assert(sizeof(Dropped) <= homecoming);
  auto* dropped = ::new (static_cast<void*>(stack_of(greenlet).top - homecoming)) Dropped;
  dropped->greenlet = &greenlet;
  Hub& hub = *greenlet.hub;
  dropped->next = hub.raw().dropped.load(std::memory_order_relaxed);
  while (!hub.raw().dropped.compare_exchange_weak(dropped->next, dropped, std::memory_order_release,
                                                  std::memory_order_relaxed)) {
  }
  if (!hub.raw().nudged.exchange(true, std::memory_order_acq_rel)) hub.post(hub.raw().nudge);
}

// Where nothing may be switched to: on the hub's own stack, and on that of a greenlet at its end.
// Then a greenlet of the hub lets go.
void unwind_later(Greenlet& suspended) noexcept {
  struct Handle {
    Greenlet* greenlet;
    explicit Handle(Greenlet& greenlet) noexcept : greenlet(&greenlet) { retain(greenlet); }
    Handle(Handle&& other) noexcept : greenlet(std::exchange(other.greenlet, nullptr)) {}
    ~Handle() {
      if (greenlet != nullptr) release(*greenlet);
    }
    void operator()() const noexcept {}
  } handle(suspended);
  try {
    spawn_raw(std::move(handle));
  } catch (...) {
    handle.greenlet = nullptr;  // no memory: it stays until the thread ends
  }
}

// Who waits for a greenlet to unwind, as its parent. Told of its end, which may go elsewhere.
struct Dropper : Link {
  Greenlet& self;
  Greenlet* parent;   // the other one's true parent, counted
  bool dropped;       // whether it was unwinding already
  bool over = false;  // it has ended, and is gone

  Dropper(Greenlet& self, Greenlet& suspended) noexcept : self(self) {
    ended = [](Link* link, Greenlet& unwound) noexcept {
      auto* dropper = static_cast<Dropper*>(link);
      dropper->restore(unwound);
      dropper->over = true;
      if (dropper->self.state != State::Suspended) return;
      give_to_hub(dropper->self);
      Hub::wake(dropper->self, Wake::Interrupted);
    };
    retain(self);
    parent = std::exchange(suspended.parent, &self);
    dropped = std::exchange(task_of(suspended).dropped, true);
    link(suspended, *this);
  }
  ~Dropper() { release(*parent); }

  void restore(Greenlet& suspended) noexcept {
    task_of(suspended).dropped = dropped;
    // It may have got another one, or have become its parent's.
    if (suspended.parent == &self && !is_in_line(*parent, suspended)) {
      std::swap(suspended.parent, parent);
    }
  }
};

// Throws GreenletExit into a suspended greenlet that nobody holds, and comes back when it has
// ended, or when somebody switches back.
void unwind(Greenlet& suspended) noexcept {
  Hub& hub = *suspended.hub;
  Greenlet& self = hub.running();
  if (hub.on_own_stack() || self.state != State::Ready) {
    unwind_later(suspended);
    return;
  }
  Dropper dropper(self, suspended);
  Value inbox;
  ++self.shields;
  self.waits_for = "letting go of a greenlet";
  // So short that the reason needs no memory.
  cross(hub, suspended, inbox, std::make_exception_ptr(GreenletExit("nobody holds it")));
  self.waits_for = nullptr;
  if (!dropper.over) {
    unlink(suspended, dropper);
    dropper.restore(suspended);
    if (is_orphan(suspended) && suspended.state == State::Suspended) {
      say(suspended, " has survived its GreenletExit, and nobody can switch to it any more");
    }
  }
  try {
    // Nothing but its end can have interrupted us: we are shielded.
    if (ValueAccess::signals(inbox) && self.woken != Wake::Interrupted) detail::attend(inbox);
  } catch (...) {
    report_current("letting go of a greenlet");
  }
  --self.shields;
}

// Returns a parent to be released.
Greenlet* orphaned(Greenlet& greenlet) noexcept {
  if (greenlet.state == State::Suspended) {
    unwind(greenlet);
  } else if (greenlet.state == State::Unstarted) {
    // Its parent may be one of a long line of such, and goes after it, not in it.
    Greenlet* parent = greenlet.parent;
    retain(*parent);
    kill(greenlet, nullptr);
    return parent;
  } else {
    greenlet.slow |= slow_orphan;  // it runs, or the hub will resume it
  }
  return nullptr;
}

}  // namespace

RawSwitches::RawSwitches() noexcept {
  nudge.raw = this;
  nudge.run = [](detail::Remote* remote) noexcept {
    RawSwitches& raw = *static_cast<Nudge*>(remote)->raw;
    raw.nudged.store(false, std::memory_order_seq_cst);
    let_go_of_dropped(raw);
  };
}

void let_go_of_dropped(RawSwitches& raw) noexcept {
  if (raw.dropped.load(std::memory_order_relaxed) == nullptr) return;
  Dropped* newest = raw.dropped.exchange(nullptr, std::memory_order_acquire);
  Dropped* oldest = nullptr;
  while (newest != nullptr) oldest = std::exchange(newest, std::exchange(newest->next, oldest));
  while (oldest != nullptr) {
    Greenlet& greenlet = *oldest->greenlet;
    oldest = oldest->next;  // it stands on that greenlet's stack
    release(greenlet);
  }
}

Greenlet* release_raw(Greenlet& greenlet) noexcept {
  std::uint64_t before = greenlet.life.load(std::memory_order_acquire);
  for (;;) {
    if ((before & life_raw) == 0) {
      release(greenlet);
      return nullptr;
    }
    bool last = (before & ~(life_unstarted | life_watched)) == (life_raw | 2);
    if (last && greenlet.hub != Hub::mine()) {
      send_home(greenlet);
      return nullptr;
    }
    if (greenlet.life.compare_exchange_weak(before, before - 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      return last ? orphaned(greenlet) : nullptr;
    }
  }
}

}  // namespace fern::core
