// What does a wrapped call cost? A recv that finds its byte there: libc's own, the wrapper where it
// is to be native, and green; beside it Fern's socket. Every row counts what it received.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fern/greenlet.hpp>
#include <fern/monkey.hpp>
#include <fern/socket.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <thread>

#include "rows.hpp"

namespace {

namespace monkey = fern::monkey;

const auto raw_recv = monkey::original<&::recv>();
const auto raw_send = monkey::original<&::send>();

// Takes one byte in each iteration. They are sent a page at a time, which costs all rows the same.
template <class Receive>
void receive(benchmark::State& state, int to, Receive receive_one) {
  static const std::array<char, 4096> page{};
  std::int64_t received = 0;
  std::size_t left = 0;
  for (auto _ : state) {
    if (left == 0) left = static_cast<std::size_t>(raw_send(to, page.data(), page.size(), 0));
    --left;
    received += receive_one();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds, received, rounds);
}

struct Ends {
  Ends() {
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) std::abort();
  }
  ~Ends() {
    ::close(fds[0]);
    ::close(fds[1]);
  }
  int fds[2];
};

template <class Function>
void receive_by(benchmark::State& state, Function function) {
  Ends ends;
  char byte;
  receive(state, ends.fds[1], [&, fd = ends.fds[0]] { return function(fd, &byte, 1, 0); });
}

// libc's, without a wrapper.
void recv_raw(benchmark::State& state) { receive_by(state, raw_recv); }
BENCHMARK(recv_raw);

// The same in a thread beside another one, where the kernel does more for each call.
void recv_raw_thread(benchmark::State& state) {
  std::thread([&] { receive_by(state, raw_recv); }).join();
}
BENCHMARK(recv_raw_thread)->UseRealTime();

// Not patched.
void recv_off(benchmark::State& state) {
  fern::yield();
  monkey::unpatch();
  receive_by(state, ::recv);
}
BENCHMARK(recv_off);

// Patched, in a thread without a hub.
void recv_thread(benchmark::State& state) {
  monkey::patch_all();
  std::thread([&] { receive_by(state, ::recv); }).join();
  monkey::unpatch();
}
BENCHMARK(recv_thread)->UseRealTime();

// Patched, in a greenlet.
void recv_green(benchmark::State& state) {
  monkey::patch_all();
  fern::spawn([&] { receive_by(state, ::recv); }).join();
  monkey::unpatch();
}
BENCHMARK(recv_green);

// Fern's own, in a greenlet.
void recv_socket(benchmark::State& state) {
  fern::spawn([&] {
    auto [here, there] = fern::socketpair();
    std::array<char, 1> byte;
    receive(state, there.fd(),
            [&socket = here, &byte] { return static_cast<std::int64_t>(socket.recv(byte)); });
  }).join();
}
BENCHMARK(recv_socket);

}  // namespace

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
