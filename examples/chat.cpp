// A chat room. The first line that a guest writes is a name; the rest goes to all the others.
//   build/examples/chat 127.0.0.1:7777        and then, several times: nc 127.0.0.1 7777
#include <fern/fern.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

namespace {

struct Guest {
  fern::Socket socket;
  fern::Queue<std::string> outbox{100};  // what is still to be sent
  std::string input;                     // what is no whole line yet
};
using Room = std::set<Guest*>;

std::string read_line(Guest& guest) {
  std::size_t end;
  while ((end = guest.input.find('\n')) == std::string::npos) {
    std::string part = guest.socket.recv(4096);
    if (part.empty() || guest.input.size() > 65536) throw std::runtime_error("no more lines");
    guest.input += part;
  }
  std::string line = guest.input.substr(0, end);
  guest.input.erase(0, end + 1);
  return line;
}

void say(const Room& room, const std::string& line, const Guest* from) {
  for (Guest* guest : room) {
    if (guest != from && !guest->outbox.try_put(line)) guest->socket.close();  // reads too slowly
  }
}

// Sending has a greenlet of its own, so that a slow reader delays nobody.
void send_outbox(const std::shared_ptr<Guest>& guest) try {
  for (std::string& line : guest->outbox) guest->socket.sendall(line, std::chrono::seconds(10));
} catch (const std::runtime_error&) {
  guest->socket.close();  // ends the reading, too
}

void attend(Room& room, fern::Socket socket) try {
  auto guest = std::make_shared<Guest>();
  guest->socket = std::move(socket);
  fern::spawn_raw(send_outbox, guest);
  struct Visit {
    Room& room;
    Guest* guest;
    std::string name;
    ~Visit() {
      guest->outbox.close();
      if (room.erase(guest) > 0) say(room, "* " + name + " has left\n", guest);
    }
  } visit{room, guest.get(), read_line(*guest)};
  room.insert(guest.get());
  guest->outbox.put("* " + std::to_string(room.size()) + " here\n");
  say(room, "* " + visit.name + " is here\n", guest.get());
  for (;;) say(room, visit.name + ": " + read_line(*guest) + "\n", guest.get());
} catch (const std::runtime_error&) {  // gone, one way or the other
}

}  // namespace

int main(int argc, char** argv) try {
  Room room;
  fern::StreamServer server(argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback(),
                            [&](fern::Socket socket) { attend(room, std::move(socket)); });
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(std::chrono::seconds(0)); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
