#include "monkey/child_news.hpp"

#include "base/proc.hpp"
#include "base/real.hpp"
#include "io/workers.hpp"

#include <sys/eventfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>

namespace fern::monkey {

// The process's only one. In a forked child it is made anew: no thread looks there, and the mutex
// may have been another thread's.
struct ChildNews::Watch : io::Job {
  Watch() {
    work = [](io::Job& job) noexcept { static_cast<Watch&>(job).look(); };
    finish = [](io::Job&) noexcept {};
  }

  std::mutex mutex;
  ChildNews* first = nullptr;
  bool looking = false;  // a thread is in look(), or about to be
  const unsigned fork = base::forks();
  io::Workers threads{1};

  void look() noexcept;
  bool tell(bool last) noexcept;
};

// Never destroyed: its thread may outlive every static object.
ChildNews::Watch& ChildNews::watch() {
  alignas(Watch) static unsigned char room[sizeof(Watch)];
  static auto* only = ::new (static_cast<void*>(room)) Watch;
  if (only->fork != base::forks()) only = ::new (static_cast<void*>(room)) Watch;
  return *only;
}

// False when nobody waits, and nobody looks any more.
bool ChildNews::Watch::tell(bool last) noexcept {
  std::lock_guard lock(mutex);
  for (ChildNews* each = first; each != nullptr; each = each->next_) {
    std::uint64_t one = 1;
    real::write(each->fd(), &one, sizeof one);
  }
  looking = first != nullptr && !last;
  return looking;
}

// Without children it ends as well: who finds that he has some begins anew.
void ChildNews::Watch::look() noexcept {
  constexpr std::chrono::milliseconds longest(20);
  std::chrono::milliseconds pause(1);
  pid_t last = 0;
  for (;;) {
    siginfo_t info{};
    int result = ::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | __WALL);
    if (!tell(result != 0)) return;
    pause = info.si_pid == last ? std::min(pause * 2, longest) : std::chrono::milliseconds(1);
    last = info.si_pid;
    std::this_thread::sleep_for(pause);
  }
}

ChildNews::ChildNews() noexcept : told_(real::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd() < 0) return;
  Watch& all = watch();
  std::lock_guard lock(all.mutex);
  next_ = all.first;
  if (next_ != nullptr) next_->previous_ = this;
  all.first = this;
}

ChildNews::~ChildNews() {
  if (fd() < 0) return;
  Watch& all = watch();
  std::lock_guard lock(all.mutex);
  if (next_ != nullptr) next_->previous_ = previous_;
  (previous_ != nullptr ? previous_->next_ : all.first) = next_;
}

bool ChildNews::expect() noexcept {
  if (fd() < 0) return false;
  std::uint64_t count = 0;
  real::read(fd(), &count, sizeof count);
  Watch& all = watch();
  std::lock_guard lock(all.mutex);
  if (!all.looking) all.looking = all.threads.submit(all) == 0;
  return all.looking;
}

}  // namespace fern::monkey
