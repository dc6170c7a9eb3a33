#include "monkey/masks.hpp"

#include "base/native.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/thread.hpp"

#include <fern/detail/wait_queue.hpp>

#include <cerrno>
#include <mutex>

namespace fern::monkey {
namespace {

constexpr int signals = 65;

struct Masks {
  fern::detail::SpinLock lock;
  unsigned threads = 0;  // main counted
  unsigned blockers[signals] = {};
  sigset_t main{};
  sigset_t applied{};

  void add(const sigset_t& set, unsigned one) noexcept {
    for (int i = 1; i < signals; ++i) {
      if (sigismember(&set, i) == 1) blockers[i] += one;
    }
  }
  void begin() noexcept {
    if (threads > 0) return;
    native::pthread_sigmask(SIG_SETMASK, nullptr, &main);
    applied = main;
    add(main, 1);
    threads = 1;
  }
  // What the OS thread has to block from now on; false if it does already.
  bool changes(sigset_t& blocked) noexcept {
    sigemptyset(&blocked);
    bool changed = false;
    for (int i = 1; i < signals; ++i) {
      bool all = threads > 0 && blockers[i] == threads;
      if (all) sigaddset(&blocked, i);
      changed |= all != (sigismember(&applied, i) == 1);
    }
    applied = blocked;
    return changed;
  }
};
constinit Masks masks;

struct Apply : fern::detail::Remote {};

void apply_here() noexcept {
  sigset_t blocked;
  {
    std::lock_guard guard(masks.lock);
    blocked = masks.applied;
  }
  native::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

// Another hub's thread asks main's to do it, which may be a moment later.
void apply() noexcept {
  core::Hub* first = first_hub();
  if (first == nullptr || first == core::Hub::mine()) return apply_here();
  auto* message = new (std::nothrow) Apply;
  if (message == nullptr) return;
  message->run = [](fern::detail::Remote* remote) noexcept {
    apply_here();
    delete static_cast<Apply*>(remote);
  };
  first->post(*message);
}

sigset_t& mask_of(Thread* thread) noexcept {
  return thread != nullptr ? thread->blocked : masks.main;
}

bool combine(int how, const sigset_t& set, const sigset_t& now, sigset_t& next) noexcept {
  switch (how) {
    case SIG_BLOCK:
      sigorset(&next, &now, &set);
      return true;
    case SIG_UNBLOCK:
      next = now;
      for (int i = 1; i < signals; ++i) {
        if (sigismember(&set, i) == 1) sigdelset(&next, i);
      }
      return true;
    case SIG_SETMASK:
      next = set;
      return true;
    default:
      return false;
  }
}

}  // namespace

void mask_made(Thread& thread) noexcept {
  std::lock_guard guard(masks.lock);
  masks.begin();
  thread.blocked = mask_of(self());
  masks.add(thread.blocked, 1);
  ++masks.threads;
}

void mask_ended(Thread& thread) noexcept {
  bool changed;
  {
    std::lock_guard guard(masks.lock);
    masks.add(thread.blocked, -1U);
    --masks.threads;
    sigset_t blocked;
    changed = masks.changes(blocked);
  }
  if (changed) apply();
}

void masks_forked() noexcept {
  masks.lock.unlock();
  core::Hub* hub = core::Hub::left();
  if (masks.threads == 0 || hub == nullptr || hub->on_own_stack()) return;
  sigset_t mine = mask_of(self());
  for (unsigned& count : masks.blockers) count = 0;
  masks.threads = 1;
  masks.main = mine;
  masks.applied = mine;
  masks.add(mine, 1);
  native::pthread_sigmask(SIG_SETMASK, &mine, nullptr);
}

namespace replaced {

// In a native scope the mask is the OS thread's, and in a handler, whose end restores it.
int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  core::Hub* hub = core::Hub::left();
  bool green =
      masks.threads > 0 && base::native_depth == 0 && hub != nullptr && !hub->on_own_stack();
  if (!green) return native::pthread_sigmask(how, set, old);
  bool changed = false;
  {
    std::lock_guard guard(masks.lock);
    sigset_t& mine = mask_of(self());
    sigset_t next = mine;
    if (set != nullptr && !combine(how, *set, mine, next)) return EINVAL;
    if (old != nullptr) *old = mine;
    masks.add(mine, -1U);
    masks.add(next, 1);
    mine = next;
    sigset_t blocked;
    changed = masks.changes(blocked);
  }
  if (changed) apply();
  return 0;
}

namespace {

// A child has its parent's mask: not what the OS thread blocks, but what the green thread does.
template <class Spawn>
int spawn(Spawn spawn, const posix_spawnattr_t* attributes) noexcept {
  core::Hub* hub = core::Hub::left();
  short flags = 0;
  if (attributes != nullptr) posix_spawnattr_getflags(attributes, &flags);
  bool green = masks.threads > 0 && hub != nullptr && !hub->on_own_stack();
  if (!green || (flags & POSIX_SPAWN_SETSIGMASK) != 0) return spawn(attributes);
  posix_spawnattr_t with_mask;
  if (attributes != nullptr) {
    with_mask = *attributes;
  } else {
    posix_spawnattr_init(&with_mask);
  }
  {
    std::lock_guard guard(masks.lock);
    posix_spawnattr_setsigmask(&with_mask, &mask_of(self()));
  }
  posix_spawnattr_setflags(&with_mask, static_cast<short>(flags | POSIX_SPAWN_SETSIGMASK));
  return spawn(&with_mask);
}

}  // namespace

int posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const* arguments,
                char* const* environment) {
  return spawn(
      [&](const posix_spawnattr_t* wanted) {
        return native::posix_spawn(child, path, actions, wanted, arguments, environment);
      },
      attributes);
}

int posix_spawnp(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
                 const posix_spawnattr_t* attributes, char* const* arguments,
                 char* const* environment) {
  return spawn(
      [&](const posix_spawnattr_t* wanted) {
        return native::posix_spawnp(child, file, actions, wanted, arguments, environment);
      },
      attributes);
}

int sigprocmask(int how, const sigset_t* set, sigset_t* old) {
  int error = replaced::pthread_sigmask(how, set, old);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

}  // namespace replaced
}  // namespace fern::monkey
