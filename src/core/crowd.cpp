#include "core/crowd.hpp"

#include "base/real.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

namespace fern::core {

int Crowd::open() noexcept {
  if (fd_ >= 0) return 0;
  fd_ = real::epoll_create1(EPOLL_CLOEXEC);
  return fd_ >= 0 ? 0 : errno;
}

void Crowd::close() noexcept {
  if (fd_ >= 0) real::close(fd_);
  fd_ = -1;
  if (count_ > 0) return;
  members_ = std::vector<void*>();
  events_ = std::vector<epoll_event>();
}

int Crowd::join(int fd, void* member) noexcept {
  auto place = static_cast<std::size_t>(fd);
  try {
    if (place >= members_.size()) members_.resize(std::max(place + 1, 2 * members_.size()));
    if (count_ == events_.size()) events_.resize(std::max<std::size_t>(64, 2 * count_));
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  epoll_event nothing{};
  nothing.data.fd = fd;
  // EEXIST is of one that was closed while a duplicate lives: it is ours from now on.
  if (real::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &nothing) < 0 && errno != EEXIST) return errno;
  members_[place] = member;
  ++count_;
  return 0;
}

// The kernel knows better than we do whether the descriptor is in the set: somebody may have closed
// it and another have got the number.
int Crowd::ask(int fd, std::uint32_t events) noexcept {
  if (events == 0) {
    take_out(fd);
    return 0;
  }
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (real::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
  if (errno != ENOENT) return errno;
  return real::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void Crowd::leave(int fd) noexcept {
  take_out(fd);
  members_[static_cast<std::size_t>(fd)] = nullptr;
  --count_;
}

void Crowd::take_out(int fd) noexcept {
  int saved = errno;
  epoll_event event{};
  if (fd_ >= 0) real::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &event);
  errno = saved;
}

void Crowd::collect() noexcept {
  int count = real::epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), 0);
  // What is told may make room for more, or be the last to leave and close the set.
  for (std::size_t i = 0; static_cast<int>(i) < count && i < events_.size(); ++i) {
    epoll_event event = events_[i];
    auto place = static_cast<std::size_t>(event.data.fd);
    void* member = place < members_.size() ? members_[place] : nullptr;
    if (member != nullptr) {
      told_(owner_, member, event.events);
    } else {
      take_out(event.data.fd);
    }
  }
}

}  // namespace fern::core
