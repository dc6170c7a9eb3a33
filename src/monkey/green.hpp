#pragma once

// The green twins: each does what the libc call of its name does, but parks the running greenlet
// where that would block the thread. Called when goes_green(part) holds only. And the originals,
// which have the same names in `native`.

#include "monkey/original.hpp"

#include <aio.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <threads.h>
#include <unistd.h>
#include <wordexp.h>

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <cwchar>

namespace fern::monkey::green {
#define FERN_CALL(part, result, name, parameters, arguments) result name parameters noexcept;
#include "monkey/table.hpp"
}  // namespace fern::monkey::green

// The twins of calls that are replaced once threads are green: in native threads too, since they
// meet the green ones there. They may unwind: a cancelled thread ends in them.
namespace fern::monkey::replaced {
#define FERN_REPLACED(result, name, parameters, arguments) result name parameters;
#include "monkey/table.hpp"
}  // namespace fern::monkey::replaced

namespace fern::monkey::native {
#define FERN_CALL(part, result, name, parameters, arguments) \
  extern constinit Original<result parameters> name;
#define FERN_CHECKED(result, checked, name, overflow, parameters, all, arguments) \
  extern constinit Original<result parameters> checked;
#define FERN_REPLACED(result, name, parameters, arguments) \
  extern constinit Original<result parameters> name;
#include "monkey/table.hpp"
}  // namespace fern::monkey::native
