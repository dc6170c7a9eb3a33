#include "monkey/stream_locks.hpp"

#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/owners.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"
#include "monkey/wait.hpp"

#include <climits>
#include <memory>

namespace fern::monkey {
namespace {

// FILEs that somebody has locked by flockfile().
constinit Owners files;
constinit lot::Word released{0};  // changes when one is

void wake_waiters() noexcept {
  released.fetch_add(1, std::memory_order_seq_cst);
  lot::wake(&released, INT_MAX);
}

bool is_anothers(const FILE* file, std::uint32_t me) noexcept {
  return file == nullptr ? files.others(me) : files.whose(file, me) == Owners::Others;
}

void leave(const FILE* file, std::uint32_t me) noexcept {
  if (files.whose(file, me) == Owners::Mine && files.release(file)) wake_waiters();
}

// Parks while `taken` says that it is another's.
template <class Taken>
bool await(const char* what, Taken taken) noexcept {
  bool waited = false;
  for (;;) {
    std::uint32_t seen = released.load(std::memory_order_seq_cst);
    if (!taken()) return waited;
    waited = true;
    lot::wait(released, seen, what, {}, lot::End::Ignore);
  }
}

// Whether libc's lock may be held by somebody whom it would make this OS thread wait for.
bool libc_may_wait() noexcept { return uses_tls() || several_hubs(); }

}  // namespace

bool await_unlocked(FILE* file) noexcept {
  bool noted = files.any();
  if (!noted && !libc_may_wait()) [[likely]]
    return false;
  int saved = errno;
  bool waited = false;
  if (noted) {
    std::uint32_t me = self_id();
    waited = await("a FILE that is locked", [=] { return is_anothers(file, me); });
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
  if (files.forget(file)) wake_waiters();
}

// Begins anew; what was noted is not freed.
void stream_locks_forked() noexcept { std::construct_at(&files); }

namespace replaced {

void flockfile(FILE* file) {
  std::uint32_t me = self_id();
  await("flockfile()", [=] { return !files.try_take(file, me); });
  if (!goes_green(Part::Threads)) return native::flockfile(file);
  ask_until("flockfile()", {}, [=] { return native::ftrylockfile(file) == 0 ? 0 : EBUSY; });
}

int ftrylockfile(FILE* file) {
  std::uint32_t me = self_id();
  int result = EBUSY;
  if (files.try_take(file, me)) {
    result = native::ftrylockfile(file);
    if (result != 0) leave(file, me);
  }
  if (result != 0 && goes_green(Part::Threads)) fair();
  return result;
}

void funlockfile(FILE* file) {
  native::funlockfile(file);
  leave(file, self_id());
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
