// A stream has no bounds: messages come glued together or cut in two. A length before each one,
// which is what send_frame() writes, keeps them apart.
//   build/examples/framed_messages
#include <fern/fern.hpp>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

const std::vector<std::string> messages = {"hello", "how are you?", std::string(200'000, '.')};

std::string shown(const std::string& message) {
  if (message.size() < 40) return '"' + message + '"';
  return '"' + message.substr(0, 20) + "...\" (" + std::to_string(message.size()) + " bytes)";
}

// A connection over loopback: the client's end and the server's.
std::pair<fern::Socket, fern::Socket> connected() {
  fern::Socket listener = fern::create_server(fern::Address::loopback());
  fern::Socket client = fern::create_connection(listener.local_address());
  return {std::move(client), listener.accept()};
}

void without_frames() {
  auto [from, to] = connected();
  fern::spawn_raw([socket = std::move(from)]() mutable {
    for (const auto& message : messages) socket.sendall(message);
  });
  int pieces = 0;
  for (std::string piece; !(piece = to.recv(16'384)).empty(); ++pieces) {
    if (pieces == 0) std::cout << "  the first piece: " << shown(piece) << '\n';
  }
  std::cout << "  " << messages.size() << " messages came in " << pieces << " pieces\n";
}

void with_frames() {
  auto [from, to] = connected();
  fern::spawn_raw([socket = std::move(from)]() mutable {
    for (const auto& message : messages) socket.send_frame(message);
  });
  while (auto message = to.recv_frame()) std::cout << "  " << shown(*message) << '\n';
}

// What may come is limited, and what is too long is not lost.
void with_a_limit() {
  auto [from, to] = connected();
  from.send_frame("this one is long");
  try {
    to.recv_frame(10);
  } catch (const std::system_error& error) {
    std::cout << "  " << error.what() << '\n';
  }
  std::cout << "  with room for 100: " << shown(to.recv_frame(100).value()) << '\n';
}

}  // namespace

int main() try {
  std::cout << "sendall and recv:\n";
  without_frames();
  std::cout << "send_frame and recv_frame:\n";
  with_frames();
  std::cout << "recv_frame with a limit:\n";
  with_a_limit();
} catch (const std::exception& error) {
  std::cerr << "framed_messages: " << error.what() << '\n';
  return 1;
}
