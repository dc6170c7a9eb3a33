// Boost.Fiber on Boost.Asio, both 1.81 (libboost-fiber1.81-dev), -O2. Recommended: pooled stacks,
// here of 64 KiB, an io_context with a concurrency hint of 1, and one thread for both: a fiber that
// has the context run what is ready and lets the others on. Nothing else was tried.
#include <array>
#include <boost/asio.hpp>
#include <boost/fiber/all.hpp>
#include <boost/fiber/context.hpp>

#include "server.hpp"

namespace asio = boost::asio;
namespace fibers = boost::fibers;
using asio::ip::tcp;

namespace {

// What a fiber waits for; the handler, which the context never calls at once, has it go on.
class Came {
 public:
  auto handler() {
    return [this](const boost::system::error_code& error, std::size_t size = 0) {
      error_ = error;
      size_ = size;
      fibers::context::active()->schedule(waiting_);
    };
  }
  bool wait(std::size_t& size) {
    waiting_->suspend();
    size = size_;
    return !error_;
  }

 private:
  fibers::context* waiting_ = fibers::context::active();
  boost::system::error_code error_;
  std::size_t size_ = 0;
};

void serve(tcp::socket socket) {
  std::array<char, echo::buffer_size> data;
  for (std::size_t size = 0;;) {
    Came came;
    socket.async_read_some(asio::buffer(data), came.handler());
    if (!came.wait(size)) return;
    Came went;
    asio::async_write(socket, asio::buffer(data.data(), size), went.handler());
    if (!went.wait(size)) return;
  }
}

template <class Fn>
void spawn(Fn&& f) {
  static fibers::pooled_fixedsize_stack stacks(64 * 1024);
  fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, std::forward<Fn>(f)).detach();
}

}  // namespace

int main() {
  asio::io_context context(1);
  const auto work = asio::make_work_guard(context);  // or it stops before the first fiber begins
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  echo::say_port(acceptor.local_endpoint().port());
  spawn([&] {
    for (std::size_t nothing = 0;;) {
      tcp::socket socket(context);
      Came came;
      acceptor.async_accept(socket, came.handler());
      if (!came.wait(nothing)) continue;
      socket.set_option(tcp::no_delay(true));
      spawn([socket = std::move(socket)]() mutable { serve(std::move(socket)); });
    }
  });
  for (;;) {
    if (context.poll() == 0 && !fibers::has_ready_fibers()) context.run_one();
    boost::this_fiber::yield();
  }
}
