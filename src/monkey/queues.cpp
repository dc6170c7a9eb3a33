// Queues and semaphores of the kernel's. A message queue of POSIX's is a descriptor, and is told
// not to wait by a time that has passed. Nothing tells of System V's, nor when an asynchronous read
// or write is done: they are asked again and again, with naps up to 50 ms long. So those who wait
// for a System V semaphore get it in no order, nobody else counts them (GETNCNT), and a process
// that waits for messages as greenlets do gets mq_notify's as well.

#include "monkey/by_worker.hpp"
#include "monkey/green.hpp"
#include "monkey/naps.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

namespace fern::monkey::green {
namespace {

// `now` is the call with a time.
template <class Now>
auto until_moved(mqd_t queue, Direction direction, const char* what, const timespec* time,
                 Now now) noexcept -> decltype(now(time)) {
  if (time != nullptr && !is_time(time)) return now(time);
  const timespec passed{};
  auto result = now(&passed);
  if (result >= 0 || errno != ETIMEDOUT) {
    if (errno == EAGAIN) {
      at_once();
    } else {
      fair();
    }
    return result;
  }
  Deadline limit;
  if (time != nullptr) {
    timespec clock{};
    clock_gettime(CLOCK_REALTIME, &clock);
    limit = std::max(to_chrono(*time) - to_chrono(clock), std::chrono::nanoseconds(0));
  }
  Wait wait(queue, direction, what, limit, Interrupts::unless_restarted);
  do {
    if (!wait.again()) {
      if (errno == EAGAIN) errno = ETIMEDOUT;
      return -1;
    }
    result = now(&passed);
  } while (result < 0 && errno == ETIMEDOUT);
  return result;
}

// `attempt` does not wait, and says `busy` where it would. No handler restarts these calls.
template <class Attempt>
auto until_given(const char* what, Deadline limit, int busy, Attempt attempt) noexcept
    -> decltype(attempt()) {
  auto result = attempt();
  if (result >= 0 || errno != busy) {
    fair();
    return result;
  }
  if (refused()) return -1;
  Naps naps(what, limit, Interrupts::any_handler);
  do {
    if (!naps.again()) return -1;
    result = attempt();
  } while (result < 0 && errno == busy);
  if (result < 0 && errno == EINVAL) errno = EIDRM;  // it was there before
  return result;
}

}  // namespace

// --- POSIX's message queues -------------------------------------------------------------------

ssize_t mq_timedreceive(mqd_t queue, char* to, std::size_t size, unsigned* priority,
                        const timespec* time) noexcept {
  return until_moved(queue, Direction::Read, "mq_receive()", time, [=](const timespec* until) {
    return native::mq_timedreceive(queue, to, size, priority, until);
  });
}

ssize_t mq_receive(mqd_t queue, char* to, std::size_t size, unsigned* priority) noexcept {
  return green::mq_timedreceive(queue, to, size, priority, nullptr);
}

int mq_timedsend(mqd_t queue, const char* data, std::size_t size, unsigned priority,
                 const timespec* time) noexcept {
  return until_moved(queue, Direction::Write, "mq_send()", time, [=](const timespec* until) {
    return native::mq_timedsend(queue, data, size, priority, until);
  });
}

int mq_send(mqd_t queue, const char* data, std::size_t size, unsigned priority) noexcept {
  return green::mq_timedsend(queue, data, size, priority, nullptr);
}

// --- System V's -------------------------------------------------------------------------------

ssize_t msgrcv(int queue, void* to, std::size_t size, long type, int flags) noexcept {
  if ((flags & IPC_NOWAIT) != 0) {
    ssize_t got = native::msgrcv(queue, to, size, type, flags);
    at_once();
    return got;
  }
  return until_given("msgrcv()", {}, ENOMSG,
                     [=] { return native::msgrcv(queue, to, size, type, flags | IPC_NOWAIT); });
}

int msgsnd(int queue, const void* message, std::size_t size, int flags) noexcept {
  if ((flags & IPC_NOWAIT) != 0) {
    int sent = native::msgsnd(queue, message, size, flags);
    at_once();
    return sent;
  }
  return until_given("msgsnd()", {}, EAGAIN,
                     [=] { return native::msgsnd(queue, message, size, flags | IPC_NOWAIT); });
}

// Which of them would wait is not told: where some may and others not, a worker's thread does.
int semtimedop(int set, sembuf* operations, std::size_t count, const timespec* timeout) noexcept {
  constexpr std::size_t most = 500;  // the kernel takes no more
  if (operations == nullptr || count == 0 || count > most ||
      (timeout != nullptr && !is_time(timeout))) {
    return native::semtimedop(set, operations, count, timeout);
  }
  auto at_once_only = [](const sembuf& each) { return (each.sem_flg & IPC_NOWAIT) != 0; };
  auto never_waiting = std::count_if(operations, operations + count, at_once_only);
  if (static_cast<std::size_t>(never_waiting) == count) {
    int result = native::semtimedop(set, operations, count, timeout);
    at_once();
    return result;
  }
  if (never_waiting > 0) {
    return by_worker("semop()",
                     [=] { return native::semtimedop(set, operations, count, timeout); });
  }
  std::array<sembuf, most> copy;
  std::copy_n(operations, count, copy.begin());
  for (std::size_t i = 0; i < count; ++i) copy[i].sem_flg |= IPC_NOWAIT;
  Deadline limit;
  if (timeout != nullptr) limit = to_chrono(*timeout);
  return until_given("semop()", limit, EAGAIN,
                     [&] { return native::semtimedop(set, copy.data(), count, nullptr); });
}

int semop(int set, sembuf* operations, std::size_t count) noexcept {
  return green::semtimedop(set, operations, count, nullptr);
}

// --- asynchronous reads and writes, which glibc makes in threads of its own ---------------------

int aio_suspend(const aiocb* const* list, int count, const timespec* timeout) noexcept {
  if (timeout != nullptr && !is_time(timeout)) return native::aio_suspend(list, count, timeout);
  Deadline limit;
  if (timeout != nullptr) limit = to_chrono(*timeout);
  const timespec now{};
  return until_given("aio_suspend()", limit, EAGAIN,
                     [&] { return native::aio_suspend(list, count, &now); });
}

int lio_listio(int mode, aiocb* const* list, int count, sigevent* event) noexcept {
  if (mode != LIO_WAIT) return native::lio_listio(mode, list, count, event);
  sigevent silent{};
  silent.sigev_notify = SIGEV_NONE;
  int result = native::lio_listio(LIO_NOWAIT, list, count, &silent);
  if (result != 0 && errno != EIO) return result;
  Naps naps("lio_listio()", {}, Interrupts::any_handler);
  for (int i = 0; i < count; ++i) {
    if (list[i] == nullptr || list[i]->aio_lio_opcode == LIO_NOP) continue;
    int error;
    while ((error = aio_error(list[i])) == EINPROGRESS) {
      if (!naps.again()) return -1;
    }
    if (error != 0) result = -1;
  }
  if (result != 0) errno = EIO;
  return result;
}

// Commands in the text are run, and what they say is read.
int wordexp(const char* text, wordexp_t* words, int flags) noexcept {
  bool runs = text != nullptr && (flags & WRDE_NOCMD) == 0 &&
              (std::strchr(text, '`') != nullptr || std::strstr(text, "$(") != nullptr);
  if (!runs) return native::wordexp(text, words, flags);
  return by_worker("wordexp()", [=] { return native::wordexp(text, words, flags); });
}

}  // namespace fern::monkey::green
