// Messages on a stream: each behind its length.

#include "io/fd_table.hpp"
#include "io/syscalls.hpp"
#include "net/fail.hpp"

#include <fern/mutex.hpp>
#include <fern/socket.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace fern {
namespace {

constexpr std::size_t header_size = 4;
constexpr std::size_t first_room = 64 * 1024;

using Header = std::array<unsigned char, header_size>;

Header header_of(std::size_t size) noexcept {
  return {static_cast<unsigned char>(size >> 24), static_cast<unsigned char>(size >> 16),
          static_cast<unsigned char>(size >> 8), static_cast<unsigned char>(size)};
}

std::size_t size_in(const Header& header) noexcept {
  return std::size_t{header[0]} << 24 | std::size_t{header[1]} << 16 | std::size_t{header[2]} << 8 |
         header[3];
}

std::unique_lock<Mutex> locked(Mutex& mutex, Deadline until, const char* what) {
  if (!mutex.try_lock_until(until)) net::fail(io::error_deadline, what);
  return {mutex, std::adopt_lock};
}

}  // namespace

// What a socket keeps for its frames; whoever uses it has a share, for the Socket may get another
// connection while somebody waits for a lock here.
struct Socket::Frames {
  explicit Frames(int fd) noexcept : fd(fd) {}

  std::atomic<int> references{1};
  std::atomic<int> fd;  // -1 once closed

  Mutex sending;
  bool torn = false;  // a frame was cut off: nothing may follow it

  Mutex receiving;
  Header header{};
  std::size_t got = 0;  // of the header and the body under way
  std::string body;     // and room for what comes next

  bool receive(void* at, std::size_t size, Deadline until);

  class Share {
   public:
    explicit Share(Frames& frames) noexcept : frames_(frames) {
      frames_.references.fetch_add(1, std::memory_order_relaxed);
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { drop(&frames_); }
    Frames* operator->() const noexcept { return &frames_; }

   private:
    Frames& frames_;
  };
  static void drop(Frames* frames) noexcept {
    if (frames->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete frames;
  }
};

Socket::Frames& Socket::frames() {
  Frames* frames = frames_.load();
  if (frames == nullptr) {
    auto fresh = std::make_unique<Frames>(fd());
    if (frames_.compare_exchange_strong(frames, fresh.get())) frames = fresh.release();
    // Another thread's close() may have missed it.
    if (!valid()) frames->fd = -1;
  }
  return *frames;
}

void Socket::close_frames() noexcept {
  if (Frames* frames = frames_.load()) frames->fd = -1;
}

void Socket::drop_frames() noexcept {
  if (frames_.load(std::memory_order_relaxed) == nullptr) return;
  close_frames();
  Frames::drop(frames_.exchange(nullptr));
}

void Socket::send_frame(detail::ConstBytes data, Deadline deadline) {
  const char* what = "fern::Socket::send_frame()";
  if (data.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error(std::string(what) + ": 4 GiB or more");
  }
  Deadline until = limit(deadline);
  Frames::Share frames(this->frames());
  auto lock = locked(frames->sending, until, what);
  if (frames->torn) net::fail(EPIPE, std::string(what) + " after a frame that was cut off");
  Header header = header_of(data.size());
  std::size_t all = header_size + data.size();
  for (std::size_t sent = 0; sent < all;) {
    std::size_t skip = std::min(sent, header_size);
    iovec parts[] = {
        {header.data() + skip, header_size - skip},
        {const_cast<std::byte*>(data.data()) + (sent - skip), data.size() - (sent - skip)}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t went = io::sendmsg(frames->fd, &message, 0, until);
    if (went < 0) {
      int error = errno;
      frames->torn = sent > 0;
      net::fail(error, std::string(what) + " after " + std::to_string(sent) + " of " +
                           std::to_string(all) + " bytes");
    }
    sent += static_cast<std::size_t>(went);
  }
}

// One receive of a frame; false at an end before the first byte.
bool Socket::Frames::receive(void* at, std::size_t size, Deadline until) {
  ssize_t came = io::recv(fd, at, size, 0, until);
  if (came == 0 && got == 0) return false;
  if (came <= 0) {
    int error = came == 0 ? ECONNRESET : errno;
    net::fail(error,
              "fern::Socket::recv_frame() after " + std::to_string(got) + " bytes of a frame");
  }
  got += static_cast<std::size_t>(came);
  return true;
}

std::optional<std::string> Socket::recv_frame(std::size_t most, Deadline deadline) {
  const char* what = "fern::Socket::recv_frame()";
  Deadline until = limit(deadline);
  Frames::Share frames(this->frames());
  auto lock = locked(frames->receiving, until, what);
  std::size_t& got = frames->got;
  while (got < header_size) {
    if (!frames->receive(frames->header.data() + got, header_size - got, until)) return {};
  }
  std::size_t size = size_in(frames->header);
  if (size > most) {
    net::fail(EMSGSIZE, std::string(what) + ": a frame of " + std::to_string(size) +
                            " bytes, where " + std::to_string(most) + " are allowed");
  }
  std::string& body = frames->body;
  while (got < header_size + size) {
    std::size_t have = got - header_size;
    if (body.size() == have) body.resize(std::min(size, std::max(2 * have, first_room)));
    frames->receive(body.data() + have, body.size() - have, until);
  }
  got = 0;
  return std::exchange(body, {});
}

}  // namespace fern
