#include <fern/selector.hpp>

#include "base/proc.hpp"
#include "base/real.hpp"
#include "io/fd_wait.hpp"
#include "io/syscalls.hpp"
#include "net/fail.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace fern {
namespace {

bool wait_for(int fd, short events, const char* what, Deadline deadline) {
  pollfd one{fd, events, 0};
  int ready = -1;
  if (fd < 0) {
    errno = EBADF;
  } else {
    ready = io::poll(&one, 1, deadline);
  }
  if (ready > 0 && (one.revents & POLLNVAL) != 0) {
    errno = EBADF;
    ready = -1;
  }
  if (ready < 0) net::fail(errno, what);
  return ready > 0;
}

}  // namespace

bool wait_readable(int fd, Deadline deadline) {
  return wait_for(fd, POLLIN, "fern::wait_readable()", deadline);
}

bool wait_writable(int fd, Deadline deadline) {
  return wait_for(fd, POLLOUT, "fern::wait_writable()", deadline);
}

std::size_t poll(std::span<pollfd> fds, Deadline deadline) {
  int ready = io::poll(fds.data(), fds.size(), deadline);
  if (ready < 0) net::fail(errno, "fern::poll()");
  return static_cast<std::size_t>(ready);
}

namespace detail {
namespace {

constexpr std::size_t most_at_once = 64;

// The kernel's set. Fern's own descriptor, so it is watched in the loop of each hub that waits.
class EpollSet {
 public:
  explicit EpollSet(const char* what) : fd_(real::epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) net::fail(errno, what);
    if (!io::adopt(fd_, false)) {
      real::close(fd_);
      net::fail(EMFILE, what);
    }
  }
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;
  ~EpollSet() { io::close(fd_, false); }

  int fd() const noexcept { return fd_; }

  // 0 or an errno.
  int control(int operation, int fd, std::uint32_t events, std::uint64_t tag) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return real::epoll_ctl(fd_, operation, fd, &event) == 0 ? 0 : errno;
  }

 private:
  int fd_;
};

[[noreturn]] void fail_for(int fd, const char* what, const char* why) {
  throw std::logic_error("fern::Selector::" + std::string(what) + "(): descriptor " +
                         std::to_string(fd) + why);
}

}  // namespace

struct SelectorCore::State {
  struct Registration {
    std::uint32_t number = 0;  // tells it from an earlier one of the same descriptor
    Interest interest{};
    bool file = false;  // always ready, and not in the set
    bool told = false;  // of a file: by Edge
    Data data;
  };

  explicit State(Trigger trigger) : trigger(trigger) {}

  mutable std::mutex mutex;
  const Trigger trigger;
  unsigned fork = base::forks();  // in which process
  // Who waits has a share: an old one is closed when the last has found out that it is.
  std::shared_ptr<EpollSet> set = std::make_shared<EpollSet>("fern::Selector::Selector()");
  std::unordered_map<int, Registration> all;
  std::size_t files = 0;
  std::uint32_t last_number = 0;

  int control(int operation, int fd, const Registration& one) noexcept {
    std::uint32_t events = trigger == Trigger::Edge ? static_cast<std::uint32_t>(EPOLLET) : 0;
    if (wants(one, Interest::Read)) events |= EPOLLIN;
    if (wants(one, Interest::Write)) events |= EPOLLOUT;
    std::uint64_t tag = std::uint64_t{one.number} << 32 | static_cast<std::uint32_t>(fd);
    return set->control(operation, fd, events, tag);
  }
  static bool wants(const Registration& one, Interest interest) noexcept {
    return (static_cast<unsigned>(one.interest) & static_cast<unsigned>(interest)) != 0;
  }
  void renew();
  void check_process() {
    if (fork == base::forks()) [[likely]]
      return;
    renew();
    fork = base::forks();
  }
  std::size_t collect(std::size_t most, void* list, Take take);
  std::size_t collect_files(std::size_t most, void* list, Take take) noexcept;
};

// A set of this process, without what is stale. Those that were closed stay registered with us.
void SelectorCore::State::renew() {
  set = std::make_shared<EpollSet>("fern::Selector::wait()");
  for (auto& [fd, one] : all) {
    if (!one.file) control(EPOLL_CTL_ADD, fd, one);
  }
}

// Everything that is ready now, without waiting; how many.
std::size_t SelectorCore::State::collect(std::size_t most, void* list, Take take) {
  std::lock_guard lock(mutex);
  check_process();
  epoll_event events[most_at_once];
  int room = static_cast<int>(std::min(most, most_at_once));
  int count = std::max(real::epoll_wait(set->fd(), events, room, 0), 0);
  std::size_t found = 0;
  bool stale = false;
  for (int i = 0; i < count; ++i) {
    int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
    auto place = all.find(fd);
    if (place == all.end() || place->second.number != events[i].data.u64 >> 32) {
      stale = true;
      continue;
    }
    bool failed = (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
    const Registration& one = place->second;
    bool readable = wants(one, Interest::Read) && (failed || (events[i].events & EPOLLIN) != 0);
    bool writable = wants(one, Interest::Write) && (failed || (events[i].events & EPOLLOUT) != 0);
    take(list, fd, readable, writable, one.data);
    ++found;
  }
  // A descriptor was closed while a duplicate lives, which keeps it in the set, and there is no
  // name by which to take it out. Level would tell of it for ever.
  if (stale && trigger == Trigger::Level) renew();
  if (files > 0) found += collect_files(most - found, list, take);
  return found;
}

std::size_t SelectorCore::State::collect_files(std::size_t most, void* list, Take take) noexcept {
  std::size_t found = 0;
  for (auto& [fd, one] : all) {
    if (found == most) break;
    if (!one.file || one.told) continue;
    one.told = trigger == Trigger::Edge;
    take(list, fd, wants(one, Interest::Read), wants(one, Interest::Write), one.data);
    ++found;
  }
  return found;
}

SelectorCore::SelectorCore(Trigger trigger) : state_(std::make_unique<State>(trigger)) {}

SelectorCore::~SelectorCore() = default;

void SelectorCore::add(int fd, Interest interest, Data data) {
  State& state = *state_;
  Data old;  // goes without the lock
  std::lock_guard lock(state.mutex);
  state.check_process();
  auto [place, fresh] = state.all.try_emplace(fd);
  State::Registration one{++state.last_number, interest, false, false, std::move(data)};
  int error = state.control(EPOLL_CTL_ADD, fd, one);
  if (error == EPERM) {
    one.file = true;
    error = fresh ? 0 : EEXIST;
  }
  // The kernel knows whether it is another one with an old number.
  if (error == EEXIST && !fresh) fail_for(fd, "add", " is registered");
  if (error != 0) {
    if (fresh) state.all.erase(place);
    net::fail(error, "fern::Selector::add()");
  }
  if (place->second.file) --state.files;
  if (one.file) ++state.files;
  old = std::exchange(place->second, std::move(one)).data;
}

void SelectorCore::modify(int fd, Interest interest, Data data) {
  State& state = *state_;
  std::lock_guard lock(state.mutex);
  state.check_process();
  auto place = state.all.find(fd);
  if (place == state.all.end()) fail_for(fd, "modify", " is not registered");
  State::Registration& one = place->second;
  Interest before = std::exchange(one.interest, interest);
  int error = one.file ? 0 : state.control(EPOLL_CTL_MOD, fd, one);
  if (error != 0) {
    one.interest = before;
    net::fail(error == ENOENT ? EBADF : error, "fern::Selector::modify()");
  }
  one.told = false;
  if (data != nullptr) one.data.swap(data);
}

bool SelectorCore::remove(int fd) noexcept {
  State& state = *state_;
  Data old;
  std::lock_guard lock(state.mutex);
  auto place = state.all.find(fd);
  if (place == state.all.end()) return false;
  State::Registration& one = place->second;
  // In a forked child the set is the parent's until it is made anew.
  bool ours = state.fork == base::forks();
  if (one.file) {
    --state.files;
  } else if (ours) {
    state.control(EPOLL_CTL_DEL, fd, one);
  }
  old = std::move(one.data);
  state.all.erase(place);
  return true;
}

SelectorCore::Data SelectorCore::get(int fd) const {
  std::lock_guard lock(state_->mutex);
  auto place = state_->all.find(fd);
  return place == state_->all.end() ? nullptr : place->second.data;
}

std::size_t SelectorCore::size() const {
  std::lock_guard lock(state_->mutex);
  return state_->all.size();
}

void SelectorCore::wait(Deadline deadline, std::size_t most, void* list, Take take) {
  if (state_->collect(most, list, take) > 0 || deadline == Deadline::past()) return;
  for (;;) {
    std::shared_ptr<EpollSet> set;
    {
      std::lock_guard lock(state_->mutex);
      set = state_->set;
    }
    // When the set is made anew this one stays ready: nobody waits for it in vain.
    io::FdWait wait(set->fd(), io::Direction::Read);
    for (bool same = true; same;) {
      int error = wait.park("Selector::wait()", deadline);
      if (error != 0 && error != io::error_deadline) net::fail(error, "fern::Selector::wait()");
      if (state_->collect(most, list, take) > 0 || error != 0) return;
      std::lock_guard lock(state_->mutex);
      same = state_->set == set;
    }
  }
}

}  // namespace detail
}  // namespace fern
