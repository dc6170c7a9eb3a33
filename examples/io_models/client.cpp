#include "client.hpp"

#include <fern/greenlet.hpp>
#include <fern/socket.hpp>
#include <fern/wait.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

namespace {

// The CPU time that a process has used so far, all of its threads together.
double cpu_seconds(pid_t process) {
  clockid_t clock;
  timespec used;
  if (int error = ::clock_getcpuclockid(process, &clock); error != 0) {
    throw std::system_error(error, std::system_category(), "clock_getcpuclockid()");
  }
  if (::clock_gettime(clock, &used) != 0) {
    throw std::system_error(errno, std::system_category(), "clock_gettime()");
  }
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

long talk(fern::Socket& socket, int rounds) {
  long right = 0;
  for (int i = 0; i < rounds; ++i) {
    std::string message = "message " + std::to_string(i);
    socket.sendall(message, 20s);
    std::string back(message.size(), '\0');
    if (socket.recv_exact(back, 20s) && back == message) ++right;
  }
  return right;
}

}  // namespace

Measured measure(const fern::Address& address, pid_t server, int connections, int rounds) {
  auto count = static_cast<std::size_t>(connections);
  std::vector<fern::Socket> sockets(count);
  for (auto& socket : sockets) socket = fern::create_connection(address, 20s);
  for (auto& socket : sockets) talk(socket, 1);  // all are being served

  Measured measured;
  double cpu = cpu_seconds(server);
  auto start = std::chrono::steady_clock::now();
  std::vector<fern::Greenlet<long>> talks;
  talks.reserve(count);
  for (auto& socket : sockets) talks.push_back(fern::spawn(talk, std::ref(socket), rounds));
  for (auto& one : talks) measured.messages += one.get();
  std::chrono::duration<double> busy = std::chrono::steady_clock::now() - start;
  measured.seconds = busy.count();
  measured.cpu = cpu_seconds(server) - cpu;

  constexpr std::chrono::duration<double> pause = 100ms;
  cpu = cpu_seconds(server);
  fern::sleep(pause);
  measured.idle = (cpu_seconds(server) - cpu) / pause.count();

  linger hard{1, 0};
  ::setsockopt(sockets[0].fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  return measured;
}
