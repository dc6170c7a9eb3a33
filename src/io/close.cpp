// A descriptor that changes hands, or is shut down: everybody who waits for it is told, in whatever
// hub.

#include "base/real.hpp"
#include "io/fd_table.hpp"

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

namespace fern::io {
namespace {

// How long a closer waits for other hubs.
constexpr std::chrono::seconds patience{1};

// The other hubs' part of one close. Each lets go and counts down; the last one closes the
// descriptor and tells the closer, if there is one who waits.
class Handover {
 public:
  // Null when memory is out.
  static Handover* make(int fd, bool close, const std::vector<core::Hub*>& others) noexcept;

  // wait() parks the closer until the last one has let go, and frees this then or later; in a
  // thread without a hub wait_natively() blocks it.
  void wait() noexcept;
  void wait_natively() noexcept;

  void start() noexcept;

 private:
  struct Message : detail::Remote {
    Handover* handover = nullptr;
    core::Hub* hub = nullptr;
  };

  explicit Handover(int fd, bool close, std::size_t others)
      : fd_(fd), close_(close), asked_(others) {
    left_.store(static_cast<int>(others), std::memory_order_relaxed);
  }
  void let_go() noexcept;
  bool tell_native() noexcept;

  int fd_;
  bool close_;
  std::atomic<bool> late_{false};  // the closer has not waited any longer
  std::vector<Message> asked_;
  std::atomic<int> left_{0};
  Message back_;
  core::Hub* home_ = nullptr;         // null: nobody waits, the last one frees
  core::Greenlet* closer_ = nullptr;  // home's thread only; null once it has stopped waiting
  bool done_ = false;                 // likewise

  // Of wait_natively().
  enum class Native { No, Waits, Done, Left };
  std::mutex mutex_;
  std::condition_variable told_;
  Native native_ = Native::No;
};

Handover* Handover::make(int fd, bool close, const std::vector<core::Hub*>& others) noexcept {
  try {
    auto* made = new Handover(fd, close, others.size());
    for (std::size_t i = 0; i < others.size(); ++i) {
      made->asked_[i].handover = made;
      made->asked_[i].hub = others[i];
      made->asked_[i].run = [](detail::Remote* remote) noexcept {
        auto* message = static_cast<Message*>(remote);
        // Of a hub without a thread nothing is left; any thread may run its messages.
        auto* table = static_cast<FdTable*>(message->hub->fd_table);
        if (table != nullptr) {
          // After the closer's patience the number may be another descriptor's. If that ends just
          // now, all who wait here are still of the old one: nobody begins to while this runs.
          bool late = !message->handover->close_ && message->handover->late_;
          if (late) table->wake_waiters(message->handover->fd_);
          if (!late) table->let_go(message->handover->fd_);
        }
        message->handover->let_go();
      };
    }
    return made;
  } catch (...) {
    return nullptr;
  }
}

// The last message may free this before the loop has ended: it goes through a copy.
void Handover::start() noexcept {
  std::size_t count = asked_.size();
  Message* messages = asked_.data();
  for (std::size_t i = 0; i < count; ++i) messages[i].hub->post(messages[i]);
}

void Handover::let_go() noexcept {
  if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (close_) {
    real::close(fd_);
    changed(fd_);
  }
  if (home_ == nullptr) {
    if (!tell_native()) delete this;
    return;
  }
  back_.handover = this;
  back_.run = [](detail::Remote* remote) noexcept {
    Handover* self = static_cast<Message*>(remote)->handover;
    if (self->closer_ == nullptr) {
      delete self;
      return;
    }
    self->done_ = true;
    core::Hub::wake(*self->closer_, core::Wake::Notified);
  };
  home_->post(back_);
}

// True when there is a thread that waits for this, and frees it.
bool Handover::tell_native() noexcept {
  std::lock_guard lock(mutex_);
  if (native_ != Native::Waits) return false;
  native_ = Native::Done;
  told_.notify_one();
  return true;
}

void Handover::wait_natively() noexcept {
  {
    std::unique_lock lock(mutex_);
    native_ = Native::Waits;
  }
  start();
  {
    std::unique_lock lock(mutex_);
    if (!told_.wait_for(lock, patience, [this] { return native_ == Native::Done; })) {
      native_ = Native::Left;
      late_ = true;
      return;
    }
  }
  delete this;
}

void Handover::wait() noexcept {
  core::Hub& hub = core::Hub::current();
  home_ = &hub;
  closer_ = &hub.running();
  start();
  Deadline limit = patience;
  core::Hub::External external(hub);
  ++closer_->shields;
  while (!done_ && hub.try_park("close()", fd_, limit) != core::Wake::TimedOut) {
  }
  --closer_->shields;
  if (done_) {
    delete this;
  } else {
    closer_ = nullptr;
    late_ = true;
  }
}

// True when the descriptor is, or will be, closed by others.
bool hand_over(int fd, bool close, bool wait) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  if (slot == nullptr) return false;
  FdSlot::View before = slot->take();
  if (before.table() == 0) return false;
  if (FdTable* mine = FdTable::here()) {
    mine->let_go(fd);
    if (before.table() == mine->id()) return false;
  }
  std::vector<core::Hub*> others;
  try {
    others = FdTable::others_of(before);
  } catch (...) {
    return false;  // no memory to tell them
  }
  if (others.empty()) return false;
  Handover* handover = Handover::make(fd, close, others);
  if (handover == nullptr) return false;
  core::Hub* hub = core::Hub::here();
  if (wait && hub == nullptr) {
    handover->wait_natively();
  } else if (wait && !hub->on_own_stack()) {
    handover->wait();
  } else {
    handover->start();
  }
  return true;
}

// Has all who wait for the descriptor try again, in this hub and in those that the view names.
// `doubt` also has no read of it taken for proof.
void retry(int fd, FdSlot::View view, bool doubt = false) noexcept {
  struct Tell : detail::Remote {
    core::Hub* hub = nullptr;
    int fd = -1;
    bool doubt = false;
    static void in(FdTable* table, int fd, bool doubt) noexcept {
      if (table == nullptr) return;
      FdEntry* entry = doubt ? table->find(fd) : nullptr;
      if (entry != nullptr && entry->noted) table->disbelieve(*entry);
      table->wake_waiters(fd);
    }
  };
  Tell::in(FdTable::here(), fd, doubt);
  try {
    for (core::Hub* hub : FdTable::others_of(view)) {
      auto* tell = new Tell;
      tell->hub = hub;
      tell->fd = fd;
      tell->doubt = doubt;
      tell->run = [](detail::Remote* remote) noexcept {
        auto* self = static_cast<Tell*>(remote);
        Tell::in(static_cast<FdTable*>(self->hub->fd_table), self->fd, self->doubt);
        delete self;
      };
      hub->post(*tell);
    }
  } catch (const std::bad_alloc&) {
    // Most waiters learn it from the kernel.
  }
}

}  // namespace

bool adopt(int fd, bool stream) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  if (slot == nullptr) return false;
  slot->adopt(stream);
  return true;
}

int close(int fd, bool wait) noexcept {
  if (hand_over(fd, true, wait)) return 0;
  int result = real::close(fd);
  changed(fd);
  return result;
}

int shutdown(int fd, int how) noexcept {
  if (real::shutdown(fd, how) < 0) return -1;
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  if (real::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
    return 0;
  // Every hub: one that has just tried and is about to wait takes posts only once it waits.
  retry(fd, FdSlot::View::of_all());
  return 0;
}

void took_urgent(int fd) noexcept {
  int saved = errno;
  FdSlot* slot = FdSlot::find(fd);
  if (slot != nullptr && slot->load().owned()) retry(fd, FdSlot::View::of_all(), true);
  errno = saved;
}

void forget(int fd) noexcept { hand_over(fd, false, false); }

void release(int fd) noexcept { hand_over(fd, false, true); }

void release(unsigned first, unsigned last) noexcept {
  for (int fd = FdSlot::next_noted(first, last); fd >= 0;
       fd = FdSlot::next_noted(static_cast<unsigned>(fd) + 1, last)) {
    release(fd);
  }
}

bool waited_for(int fd) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  return slot != nullptr && slot->load().table() != 0;
}

// Who began to wait between the letting go and the change looks again.
void changed(int fd) noexcept {
  int saved = errno;
  FdSlot* slot = FdSlot::find(fd);
  if (slot != nullptr && slot->load().table() != 0) retry(fd, slot->load());
  errno = saved;
}

void changed(unsigned first, unsigned last) noexcept {
  for (int fd = FdSlot::next_noted(first, last); fd >= 0;
       fd = FdSlot::next_noted(static_cast<unsigned>(fd) + 1, last)) {
    changed(fd);
  }
}

}  // namespace fern::io
