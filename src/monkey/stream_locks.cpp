#include "monkey/stream_locks.hpp"

#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"
#include "monkey/wait.hpp"

#include <fern/detail/wait_queue.hpp>

#include <climits>
#include <memory>
#include <mutex>
#include <new>

namespace fern::monkey {
namespace {

// A FILE that somebody has locked by flockfile().
struct Held {
  const FILE* file;
  std::uint32_t owner;
  unsigned count;
  Held* next;
};

struct Locks {
  fern::detail::SpinLock lock;
  Held* first = nullptr;
  std::atomic<unsigned> held{0};
  lot::Word released{0};  // changes when one is

  // Where it stands; at the end if it does not. The lock is held.
  Held** find(const FILE* file) noexcept {
    Held** place = &first;
    while (*place != nullptr && (*place)->file != file) place = &(*place)->next;
    return place;
  }
  bool others(const FILE* file, std::uint32_t me) noexcept {
    std::lock_guard guard(lock);
    for (Held* each = first; each != nullptr; each = each->next) {
      if ((file == nullptr || each->file == file) && each->owner != me) return true;
    }
    return false;
  }
  // False when it is another's. Without memory it is nobody's, as if nothing were noted.
  bool enter(const FILE* file, std::uint32_t me) noexcept {
    std::unique_ptr<Held> fresh(new (std::nothrow) Held{file, me, 1, nullptr});
    std::lock_guard guard(lock);
    Held* found = *find(file);
    if (found != nullptr && found->owner != me) return false;
    if (found != nullptr) {
      ++found->count;
    } else if (fresh != nullptr) {
      held.fetch_add(1, std::memory_order_seq_cst);
      fresh->next = first;
      first = fresh.release();
    }
    return true;
  }
  void leave(const FILE* file, std::uint32_t me, bool all) noexcept {
    std::unique_ptr<Held> gone;
    {
      std::lock_guard guard(lock);
      Held** place = find(file);
      Held* found = *place;
      if (found == nullptr || (!all && found->owner != me)) return;
      if (!all && --found->count > 0) return;
      *place = found->next;
      gone.reset(found);
      held.fetch_sub(1, std::memory_order_seq_cst);
    }
    released.fetch_add(1, std::memory_order_seq_cst);
    lot::wake(&released, INT_MAX);
  }
};
constinit Locks locks;

// Parks while `taken` says that it is another's.
template <class Taken>
bool await(const char* what, Taken taken) noexcept {
  bool waited = false;
  for (;;) {
    std::uint32_t seen = locks.released.load(std::memory_order_seq_cst);
    if (!taken()) return waited;
    waited = true;
    lot::wait(locks.released, seen, what, {}, lot::End::Ignore);
  }
}

// Whether libc's lock may be held by somebody whom it would make this OS thread wait for.
bool libc_may_wait() noexcept { return uses_tls() || several_hubs(); }

}  // namespace

bool await_unlocked(FILE* file) noexcept {
  bool noted = locks.held.load(std::memory_order_seq_cst) != 0;
  if (!noted && !libc_may_wait()) [[likely]]
    return false;
  int saved = errno;
  bool waited = false;
  if (noted) {
    std::uint32_t me = self_id();
    waited = await("a FILE that is locked", [=] { return locks.others(file, me); });
  }
  if (file != nullptr && libc_may_wait()) {
    // Held by a call of libc's that waits, in a function of fopencookie's or in another thread.
    ask_until("a FILE that is locked", {}, [&] {
      if (native::ftrylockfile(file) != 0) return waited = true, EBUSY;
      native::funlockfile(file);
      return 0;
    });
  }
  errno = saved;
  return waited;
}

void forget_lock(const FILE* file) noexcept {
  if (locks.held.load(std::memory_order_relaxed) != 0) locks.leave(file, 0, true);
}

void stream_locks_forked() noexcept {
  locks.lock.unlock();
  locks.first = nullptr;
  locks.held.store(0, std::memory_order_relaxed);
}

namespace replaced {

void flockfile(FILE* file) {
  std::uint32_t me = self_id();
  await("flockfile()", [=] { return !locks.enter(file, me); });
  if (!goes_green(Part::Threads)) return native::flockfile(file);
  ask_until("flockfile()", {}, [=] { return native::ftrylockfile(file) == 0 ? 0 : EBUSY; });
}

int ftrylockfile(FILE* file) {
  std::uint32_t me = self_id();
  int result = EBUSY;
  if (locks.enter(file, me)) {
    result = native::ftrylockfile(file);
    if (result != 0) locks.leave(file, me, false);
  }
  if (result != 0 && goes_green(Part::Threads)) fair();
  return result;
}

void funlockfile(FILE* file) {
  native::funlockfile(file);
  locks.leave(file, self_id(), false);
}

}  // namespace replaced

// What locks the FILE in libc and does not wait for anything else.
namespace green {

int fseek(FILE* file, long offset, int from) noexcept { return native::fseek(file, offset, from); }
int fseeko(FILE* file, off_t offset, int from) noexcept {
  return native::fseeko(file, offset, from);
}
int fseeko64(FILE* file, off64_t offset, int from) noexcept {
  return native::fseeko64(file, offset, from);
}
long ftell(FILE* file) noexcept { return native::ftell(file); }
off_t ftello(FILE* file) noexcept { return native::ftello(file); }
off64_t ftello64(FILE* file) noexcept { return native::ftello64(file); }
void rewind(FILE* file) noexcept { native::rewind(file); }
int ungetc(int c, FILE* file) noexcept { return native::ungetc(c, file); }
int setvbuf(FILE* file, char* buffer, int mode, std::size_t size) noexcept {
  return native::setvbuf(file, buffer, mode, size);
}

}  // namespace green
}  // namespace fern::monkey
