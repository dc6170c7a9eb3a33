// So many receives of a byte that is there, by libc's recv or the wrapped one: receives
// raw|off|thread|green COUNT.
// counts_test.py has the instructions and the system calls counted.
#include <sys/socket.h>
#include <fern/greenlet.hpp>
#include <fern/monkey.hpp>

#include <cstdlib>
#include <string_view>
#include <thread>

namespace {

// 0 when all was received.
template <class Receive>
int receive(long count, Receive receive_one) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 3;
  char byte = 0;
  if (::send(ends[1], &byte, 1, 0) != 1) return 3;
  long received = 0;
  for (long i = 0; i < count; ++i) received += receive_one(ends[0], &byte, 1, MSG_PEEK);
  return received == count ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string_view where = argv[1];
  const long count = std::atol(argv[2]);
  int result = 2;
  const auto raw = fern::monkey::original<&::recv>();
  if (where == "thread" || where == "green") fern::monkey::patch_all();
  if (where == "raw") {
    std::thread([&] { result = receive(count, raw); }).join();
  } else if (where == "off" || where == "thread") {
    std::thread([&] { result = receive(count, ::recv); }).join();
  } else if (where == "green") {
    fern::spawn([&] { result = receive(count, ::recv); }).join();
  }
  return result;
}
