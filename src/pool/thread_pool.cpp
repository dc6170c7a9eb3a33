#include <fern/thread_pool.hpp>

#include "core/hub.hpp"
#include "io/workers.hpp"

#include <fern/detail/wait_queue.hpp>
#include <fern/errors.hpp>

#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>

namespace fern::detail {

struct Threads {
  explicit Threads(std::size_t most) : workers(most) {}

  // The lock's value is how many calls are pending, above two bits: the lock's and `shut`.
  static constexpr SpinLock::Word shut = 2;
  static constexpr SpinLock::Word one = 4;

  io::Workers workers;
  SpinLock lock;
  WaitQueue waiters;

  // False once closed.
  bool begin() noexcept {
    std::lock_guard hold(lock);
    if ((lock.value() & shut) != 0) return false;
    lock.set(lock.value() + one);
    return true;
  }
  void end() noexcept {
    lock.lock();
    SpinLock::Word left = lock.value() - one;
    if (left < one) waiters.notify_all();
    lock.unlock(left);
  }
};

namespace {

// Counts one call for as long as it lives.
class Pending {
 public:
  explicit Pending(std::shared_ptr<Threads> threads, const char* what)
      : threads_(std::move(threads)) {
    if (threads_ != nullptr && !threads_->begin()) {
      threads_ = nullptr;
      throw std::logic_error(std::string(what) + ": the pool was shut down");
    }
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {
    if (threads_ != nullptr) threads_->end();
  }

 private:
  std::shared_ptr<Threads> threads_;
};

// A spawned task under way. The hub that spawned it is told at the end, because until then it is
// waiting for something; what is told to a hub whose thread has ended is nobody's any more.
struct Ticket : io::Job, Remote {
  Ticket(std::shared_ptr<Threads> threads, std::unique_ptr<ThreadTask> task)
      : task(std::move(task)), hub(core::Hub::here()) {
    pending.emplace(std::move(threads), "ThreadPool::spawn()");
    if (hub != nullptr) ::new (static_cast<void*>(external)) core::Hub::External(*hub);
  }

  std::unique_ptr<ThreadTask> task;
  std::optional<Pending> pending;
  core::Hub* hub;
  alignas(core::Hub::External) unsigned char external[sizeof(core::Hub::External)];
};

void end_ticket(Ticket* ticket) noexcept {
  if (ticket->hub != nullptr && ticket->hub == core::Hub::here()) {
    std::destroy_at(std::launder(reinterpret_cast<core::Hub::External*>(ticket->external)));
  }
  delete ticket;
}

void work(io::Job& job) noexcept { static_cast<Ticket&>(job).task->work(); }

void finish(io::Job& job) noexcept {
  auto* ticket = static_cast<Ticket*>(&job);
  ticket->task->publish();
  ticket->task.reset();
  ticket->pending.reset();
  if (ticket->hub == nullptr) {
    end_ticket(ticket);
  } else {
    ticket->hub->post(static_cast<Remote&>(*ticket));
  }
}

}  // namespace

std::shared_ptr<Threads> make_threads(std::size_t most) { return std::make_shared<Threads>(most); }

void submit(const std::shared_ptr<Threads>& threads, std::unique_ptr<ThreadTask> task) {
  auto* ticket = new Ticket(threads, std::move(task));
  ticket->work = work;
  ticket->finish = finish;
  static_cast<Remote&>(*ticket).run = [](Remote* remote) noexcept {
    end_ticket(static_cast<Ticket*>(remote));
  };
  if (int error = threads->workers.submit(*ticket); error != 0) {
    end_ticket(ticket);
    throw std::system_error(error, std::system_category(), "ThreadPool::spawn(): no thread");
  }
}

void run_in_thread(const std::shared_ptr<Threads>& threads, void (*call)(void*), void* context,
                   const char* what) {
  Pending pending(threads, what);
  io::Workers& workers = threads == nullptr ? io::common_workers() : threads->workers;
  if (auto error = workers.run(call, context, what)) std::rethrow_exception(std::move(error));
}

namespace {

void check_outside(const Threads& threads, Deadline deadline, const char* what) {
  if (!deadline.is_never() || !in_thread_of(threads)) return;
  throw GreenletError(std::string(what) + ": a call in the pool cannot wait for its own end");
}

}  // namespace

bool wait_for_threads(Threads& threads, Deadline deadline) {
  check_outside(threads, deadline, "ThreadPool::waitall()");
  std::lock_guard hold(threads.lock);
  return threads.waiters.wait(threads.lock, deadline, "ThreadPool::waitall()",
                              [&](bool) { return threads.lock.value() < Threads::one; });
}

bool shut_threads(Threads& threads, Deadline deadline) {
  check_outside(threads, deadline, "ThreadPool::shutdown()");
  {
    std::lock_guard hold(threads.lock);
    threads.lock.set(threads.lock.value() | Threads::shut);
  }
  return wait_for_threads(threads, deadline);
}

std::size_t pending_in(const Threads& threads) noexcept {
  return static_cast<std::size_t>(threads.lock.value() / Threads::one);
}

bool in_thread_of(const Threads& threads) noexcept { return threads.workers.here(); }

}  // namespace fern::detail

namespace fern {

ThreadPool::ThreadPool(std::ptrdiff_t size) : size_(static_cast<std::size_t>(size)) {
  if (size <= 0) throw std::invalid_argument("ThreadPool: the size must be positive");
  threads_ = detail::make_threads(size_);
}

ThreadPool::~ThreadPool() = default;

}  // namespace fern
