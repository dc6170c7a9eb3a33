// One echo server after five models of I/O, and the same client for each: what they cost.
//   build/examples/io_models [connections] [rounds]
#include "client.hpp"
#include "models.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>

namespace {

constexpr Model models[] = {
    {"blocking, a thread each", serve_blocking},
    {"polling", serve_polling},
    {"epoll, level", serve_level},
    {"epoll, edge", serve_edge},
    {"callbacks of libuv", serve_callbacks},
    {"green", serve_green},
};

// Each server is a process of its own, so that the kernel counts its CPU time apart.
pid_t start(const Model& model, fern::Socket& listener, int connections, Served& served) {
  pid_t server = ::fork();
  if (server < 0) throw std::runtime_error("cannot fork");
  if (server > 0) return server;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no server without its client
  try {
    model.serve(std::move(listener), connections, served);
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "io_models: %s: %s\n", model.name, error.what());
    ::_exit(1);
  }
}

bool run(const Model& model, int connections, int rounds) {
  void* shared =
      ::mmap(nullptr, sizeof(Served), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  auto& served = *::new (shared) Served;
  fern::Socket listener = fern::create_server(fern::Address::loopback());
  pid_t server = start(model, listener, connections, served);
  Measured measured = measure(listener.local_address(), server, connections, rounds);
  int status = -1;
  ::waitpid(server, &status, 0);
  std::printf("%-24s %9ld %12.0f %12.2f %8.0f%% %7d\n", model.name, measured.messages,
              static_cast<double>(measured.messages) / measured.seconds,
              measured.cpu * 1e6 / static_cast<double>(measured.messages), measured.idle * 100,
              served.resets.load());
  std::fflush(stdout);
  bool right = status == 0 && measured.messages == long{connections} * rounds &&
               served.connections == connections && served.resets == 1;
  ::munmap(shared, sizeof(Served));
  return right;
}

}  // namespace

int main(int argc, char** argv) try {
  int connections = argc > 1 ? std::atoi(argv[1]) : 50;
  int rounds = argc > 2 ? std::atoi(argv[2]) : 500;
  if (connections < 1 || rounds < 1) throw std::runtime_error("[connections] [rounds], please");
  std::printf("%-24s %9s %12s %12s %9s %7s\n", "model", "messages", "messages/s", "CPU us each",
              "CPU idle", "resets");
  bool right = true;
  for (const Model& model : models) right = run(model, connections, rounds) && right;
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "io_models: %s\n", error.what());
  return 1;
}
