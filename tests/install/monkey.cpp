// Says whether recv in a greenlet lets others run, or why it cannot. Built and run in several ways
// by monkey_modes_test.py; one of them only preloads the monkey, so it is asked for weakly.

#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

namespace fern::monkey {
#ifdef MONKEY_MAY_BE_MISSING
extern __attribute__((weak)) void patch_all(const Options& options);
#endif
}  // namespace fern::monkey

namespace {

const char* run() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return "no sockets";
  bool waited = false;
  bool others_ran = false;
  auto reader = fern::spawn([&] {
    timeval limit{.tv_sec = 0, .tv_usec = 50'000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char byte = 0;
    if (recv(ends[0], &byte, 1, 0) < 0) std::perror("recv");
    waited = others_ran;
  });
  auto writer = fern::spawn([&] {
    others_ran = true;
    if (send(ends[1], "x", 1, 0) < 0) std::perror("send");
  });
  fern::joinall({reader, writer});
  close(ends[0]);
  close(ends[1]);
  return waited ? "green" : "native";
}

}  // namespace

int main() {
#ifdef MONKEY_MAY_BE_MISSING
  if (&fern::monkey::patch_all == nullptr) {
    std::printf("no monkey; recv is %s\n", run());
    return 0;
  }
#endif
  try {
    fern::monkey::patch_all(fern::monkey::Options{});
  } catch (const std::logic_error& error) {
    std::printf("%s\n", error.what());
    return 0;
  }
  std::printf("recv is %s\n", run());
}
