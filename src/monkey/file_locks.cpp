// Locks on files. Nothing tells when one can be had, and a thread that waits for it in the kernel
// could only be called back by a signal: so it is asked for again and again, with naps up to 50 ms
// long. What natively is different: those who wait get it in no order, and locks of processes that
// wait for each other in a circle are not found out (EDEADLK).

#include "base/real.hpp"
#include "monkey/files.hpp"
#include "monkey/green.hpp"
#include "monkey/naps.hpp"
#include "monkey/wait.hpp"

#include <sys/file.h>

namespace fern::monkey {
namespace {

// `attempt` does not wait; EACCES and EAGAIN are what it says when another has the lock.
template <class Attempt>
int until_locked(const char* what, Attempt attempt) noexcept {
  auto others = [] { return errno == EAGAIN || errno == EACCES; };
  int result = attempt();
  if (result == 0 || !others()) {
    fair();
    return result;
  }
  if (refused()) return -1;
  Naps naps(what);
  do {
    if (!naps.again()) return -1;
    result = attempt();
  } while (result != 0 && others());
  return result;
}

}  // namespace

int lock_file(int fd, int command, struct flock* lock) noexcept {
  int saved = errno;
  int attempt = command == F_OFD_SETLKW ? F_OFD_SETLK : F_SETLK;
  int result = until_locked("fcntl(F_SETLKW)", [=] { return real::fcntl_lock(fd, attempt, lock); });
  if (result == 0) errno = saved;
  return result;
}

namespace green {

int flock(int fd, int operation) noexcept {
  if ((operation & LOCK_NB) != 0 || operation == LOCK_UN) {
    int result = native::flock(fd, operation);
    at_once();
    return result;
  }
  return until_locked("flock()", [=] { return native::flock(fd, operation | LOCK_NB); });
}

int lockf(int fd, int command, off_t size) noexcept {
  if (command != F_LOCK) return native::lockf(fd, command, size);
  return until_locked("lockf()", [=] { return native::lockf(fd, F_TLOCK, size); });
}

}  // namespace green
}  // namespace fern::monkey
