#include "io/poll_set.hpp"

#include "base/real.hpp"

#include <cerrno>

namespace fern::io {

int PollSet::open(core::Loop& loop) noexcept {
  if (parents_) close(loop);
  if (fd_ >= 0) return 0;
  int fd = real::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return errno;
  watch_.set = this;
  auto on_ready = [](core::Watch& watch, unsigned) noexcept {
    static_cast<InLoop&>(watch).set->collect();
  };
  if (int error = loop.watch(watch_, fd, core::readable, on_ready); error != 0) {
    real::close(fd);
    return error;
  }
  loop_ = &loop;
  fd_ = fd;
  return 0;
}

void PollSet::close(core::Loop& loop) noexcept {
  if (fd_ < 0) return;
  loop.unwatch(watch_);
  real::close(fd_);
  fd_ = -1;
  parents_ = false;
}

int PollSet::arm(core::Loop& loop, int fd, std::uint32_t events, bool known) noexcept {
  if (int error = open(loop); error != 0) return error;
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.fd = fd;
  // Its owner may close it between two of our calls.
  for (int operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;;) {
    if (real::epoll_ctl(fd_, operation, fd, &event) == 0) return 0;
    if (errno == EEXIST) {
      operation = EPOLL_CTL_MOD;
    } else if (errno == ENOENT && operation == EPOLL_CTL_MOD) {
      operation = EPOLL_CTL_ADD;
    } else {
      return errno;
    }
  }
}

void PollSet::remove(int fd) noexcept {
  if (fd_ < 0 || parents_) return;
  int saved = errno;
  epoll_event event{};
  real::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &event);
  errno = saved;
}

void PollSet::collect() noexcept {
  if (parents_) {
    close(*loop_);
    return;
  }
  epoll_event events[64];
  int count = real::epoll_wait(fd_, events, 64, 0);
  for (int i = 0; i < count; ++i) ready_(owner_, events[i].data.fd, events[i].events);
}

}  // namespace fern::io
