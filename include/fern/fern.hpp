#pragma once

// All of Fern, but for asio.hpp, which includes Boost.

#include <fern/address.hpp>
#include <fern/async_result.hpp>
#include <fern/barrier.hpp>
#include <fern/callback.hpp>
#include <fern/condition_variable.hpp>
#include <fern/config.hpp>
#include <fern/coroutine.hpp>
#include <fern/deadline.hpp>
#include <fern/debug.hpp>
#include <fern/dns.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/forking_server.hpp>
#include <fern/greenlet.hpp>
#include <fern/group.hpp>
#include <fern/hub.hpp>
#include <fern/imap.hpp>
#include <fern/local.hpp>
#include <fern/mutex.hpp>
#include <fern/pile.hpp>
#include <fern/pool.hpp>
#include <fern/queue.hpp>
#include <fern/scoped_greenlet.hpp>
#include <fern/selector.hpp>
#include <fern/semaphore.hpp>
#include <fern/server.hpp>
#include <fern/shared_mutex.hpp>
#include <fern/signal.hpp>
#include <fern/socket.hpp>
#include <fern/task_group.hpp>
#include <fern/thread_pool.hpp>
#include <fern/timeout.hpp>
#include <fern/timer.hpp>
#include <fern/wait.hpp>
