// The other side of chat: what is typed goes to the room, what the room says is shown, each in a
// greenlet. The terminal is not Fern's and stays as it is: it is only waited for.
//   build/examples/chat_client 127.0.0.1:7777 NAME
#include <fern/fern.hpp>

#include <unistd.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace {

void send_what_is_typed(const std::shared_ptr<fern::Socket>& socket) try {
  char typed[4096];
  for (;;) {
    fern::wait_readable(STDIN_FILENO);
    ssize_t size = ::read(STDIN_FILENO, typed, sizeof typed);
    if (size <= 0) break;
    socket->sendall(std::string_view(typed, static_cast<std::size_t>(size)));
  }
  socket->shutdown(fern::Socket::Direction::Send);  // the room says goodbye by closing
} catch (const std::system_error&) {  // the room is gone, as the other greenlet will see
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: chat_client HOST:PORT NAME\n";
    return 2;
  }
  try {
    auto socket = std::make_shared<fern::Socket>(
        fern::create_connection(fern::Address::parse(argv[1]), std::chrono::seconds(5)));
    socket->sendall(std::string(argv[2]) + "\n");
    fern::spawn_raw(send_what_is_typed, socket);
    for (std::string part; !(part = socket->recv(4096)).empty();) std::cout << part << std::flush;
  } catch (const std::exception& error) {
    std::cerr << "chat_client: " << error.what() << '\n';
    return 1;
  }
}
