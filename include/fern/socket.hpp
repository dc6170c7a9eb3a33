#pragma once

// A Socket is a network socket whose calls park the greenlet instead of blocking the thread.
//
//   fern::Socket web = fern::create_connection("example.org", 80, 5s);
//   web.sendall("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n");
//   std::string page;
//   for (std::string part; !(part = web.recv(65536, 10s)).empty();) page += part;
//
// It owns its descriptor: move-only, closed when it goes. Data is anything contiguous of one-byte
// elements: std::string, std::span<std::byte>, std::array<char, N>; a literal is sent without its
// NUL.
//
// Every call that may wait has a Deadline, and throws TimeoutError when it passes; the earliest of
// it, of set_timeout() and of the Timeout scopes counts. Each throws std::system_error with the
// errno for what goes wrong with the network (the kernel's ETIMEDOUT too), and what every wait
// throws when the greenlet is killed. Any number of greenlets, of any hub, may use one Socket at
// once; of several who wait to receive, the first is served first. What closes a Socket under those
// who use it is said at close().

#include <fern/address.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/bytes.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace fern {

class FERN_API Socket {
 public:
  Socket() noexcept = default;  // of nothing: every call fails with EBADF

  // Socket(fd) takes ownership of an open socket and makes it non-blocking. Throws
  // std::system_error, and leaves the descriptor alone, when it is not a socket.
  explicit Socket(int fd);

  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;  // closes what it had
  ~Socket();  // closes; never waits, even where another hub still uses it

  // New ones, close-on-exec, neither bound nor connected.
  static Socket tcp(Address::Family family = Address::Family::V4);
  static Socket udp(Address::Family family = Address::Family::V4);
  static Socket unix_stream();

  // valid() asks whether there is a descriptor: false once closed, released or moved from.
  bool valid() const noexcept { return fd() >= 0; }

  // fd() is the descriptor, for its options and for those who only look. What comes is this
  // Socket's: urgent data received by other means, or TLS of the kernel's (TCP_ULP) begun after the
  // first messages and then read here, may leave waiting who waits in recv().
  int fd() const noexcept { return fd_.load(std::memory_order_relaxed); }

  void bind(const Address& address);
  void listen(int backlog = 1024);

  // accept() waits for a connection and gives it, with TCP_NODELAY set, and its peer's address.
  // Connections that were gone before they were taken are skipped.
  Socket accept(Deadline deadline = {});
  Socket accept(Address& peer, Deadline deadline = {});

  // connect() waits until it is connected. After an error or a TimeoutError the socket may still
  // be connecting: close it.
  void connect(const Address& address, Deadline deadline = {});

  // send() waits until some of the data has gone, and returns how much; sendall() until all of it
  // has. When sendall() stops half-way, by an error or a deadline, what it throws says how much
  // went. A peer that is gone is an error (EPIPE), never a SIGPIPE.
  std::size_t send(detail::ConstBytes data, Deadline deadline = {});
  void sendall(detail::ConstBytes data, Deadline deadline = {});

  // recv() waits until something has come, and returns how much was put into the buffer, or what
  // came, of at most that many bytes; 0 or "" is the peer's end. What has come is lost if there is
  // no memory for the string.
  std::size_t recv(detail::Bytes buffer, Deadline deadline = {});
  std::string recv(std::size_t most, Deadline deadline = {});

  // recv_exact() fills the whole buffer. False when the peer ended before the first byte; an end
  // after it is a std::system_error (ECONNRESET) that says how much came.
  bool recv_exact(detail::Bytes buffer, Deadline deadline = {});

  // Messages: a stream has no bounds of its own, so what was sent in two calls may come in one. A
  // frame is a message behind its length, four bytes big-endian. Several greenlets may send frames
  // of one socket, or receive them, at once: each frame stays whole.
  //
  // send_frame() waits until all of it has gone. When it stops half-way, what it throws says how
  // much went, and the socket sends no more frames (EPIPE): the peer would take them for the rest.
  // std::length_error for 4 GiB or more.
  void send_frame(detail::ConstBytes data, Deadline deadline = {});

  // recv_frame() waits for the next frame; none is the peer's end. An end inside of a frame is a
  // std::system_error (ECONNRESET). So is a frame of more than `most` bytes (EMSGSIZE), which is
  // not lost: a call that allows more gets it. The Deadline is one for the whole frame; what had
  // come when it passes, or when the greenlet is killed, is kept for the next call. Memory is taken
  // as the bytes arrive, not as the length claims.
  std::optional<std::string> recv_frame(Deadline deadline = {}) {
    return recv_frame(frame_limit, deadline);
  }
  std::optional<std::string> recv_frame(std::size_t most, Deadline deadline = {});
  static constexpr std::size_t frame_limit = 16 * 1024 * 1024;

  // Datagrams: one at a time, cut off at the buffer's size. sendto() returns how much went.
  std::size_t recvfrom(detail::Bytes buffer, Address& from, Deadline deadline = {});
  std::pair<std::string, Address> recvfrom(std::size_t most, Deadline deadline = {});
  std::size_t sendto(detail::ConstBytes data, const Address& to, Deadline deadline = {});

  // shutdown() ends one direction or both for all who have the connection. Waiters of any
  // hub go on: who receives finds the end, who sends EPIPE.
  enum class Direction : unsigned char { Receive, Send, Both };
  void shutdown(Direction direction = Direction::Both);

  // close() closes, and wakes all who wait for this descriptor, in any hub, with EBADF before its
  // number can be used again. Idempotent. Where another hub has to let go of it first it waits for
  // that, for a second at most; it cannot be killed.
  //
  // In the closer's thread every later call fails with EBADF. A call that another thread begins at
  // the same moment may have read the number already and make its system call after the close, as
  // with close(2) itself: on whatever has the number by then. Threads that share a Socket end with
  // shutdown(), and close when all have left. The same goes for release(), assignment and the
  // destructor.
  void close() noexcept;

  // release() gives the descriptor back, with the flags it came with; -1 if there is none. Wakes
  // all who wait, as close() does.
  int release() noexcept;

  // set_timeout() limits every call that may wait from now on; none lifts the limit.
  void set_timeout(std::optional<std::chrono::nanoseconds> timeout) noexcept;

  // set_option() and option() are setsockopt(2) and getsockopt(2) for options that are an int.
  void set_option(int level, int name, int value);
  int option(int level, int name) const;

  Address local_address() const;
  Address remote_address() const;

 private:
  friend struct SocketAccess;
  struct Frames;

  static Socket make(Address::Family family, int type, const char* what);
  Deadline limit(Deadline deadline) const;
  void sendall_rest(detail::ConstBytes data, std::ptrdiff_t went, Deadline until);
  void take(Socket& other) noexcept;
  Frames& frames();
  void close_frames() noexcept;  // its descriptor is not ours any more
  void drop_frames() noexcept;

  static constexpr std::int64_t no_timeout = -1;

  std::atomic<int> fd_{-1};
  int flags_ = -1;  // of one that was taken over, as they came; -1 for one that Fern opened
  std::atomic<std::int64_t> timeout_ns_{no_timeout};
  std::atomic<Frames*> frames_{nullptr};  // since the first frame
};

// create_connection() resolves the host, unless it is a numeric address, and tries each address
// until one connects; TCP_NODELAY is set. The Deadline is one budget for all of it, and each
// address gets its share. Throws the last one's error; TimeoutError when the budget is used up;
// what resolve() throws.
FERN_API Socket create_connection(std::string_view host, std::uint16_t port,
                                  Deadline deadline = {});
FERN_API Socket create_connection(const Address& address, Deadline deadline = {});

// create_server() is a socket that listens at the address, with SO_REUSEADDR.
FERN_API Socket create_server(const Address& address, int backlog = 1024);

// socketpair() is two unix stream sockets connected to each other.
FERN_API std::pair<Socket, Socket> socketpair();

}  // namespace fern
