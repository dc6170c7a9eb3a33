// Answers "GET .../MS" after so many milliseconds, with what was asked for: behind nginx, on the
// unix socket that its argument names, with a thread for each connection.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

void answer(int connection) {
  std::string request;
  char part[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    ssize_t size = read(connection, part, sizeof part);
    if (size <= 0) break;
    request.append(part, static_cast<std::size_t>(size));
  }
  std::string path = request.substr(4, request.find(' ', 4) - 4);
  std::this_thread::sleep_for(
      std::chrono::milliseconds(std::atol(path.c_str() + path.rfind('/') + 1)));
  std::string response = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nyou asked for " + path;
  if (write(connection, response.data(), response.size()) < 0) std::perror("write");
  close(connection);
}

}  // namespace

int main(int, char** arguments) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, arguments[1], sizeof address.sun_path - 1);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 1024) != 0) {
    std::perror(arguments[1]);
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    int connection = accept(listener, nullptr, nullptr);
    if (connection >= 0) std::thread(answer, connection).detach();
  }
}
