// The load of the echo rows: so many connections, each with one message under way, for so long.
//
//   client PORT CONNECTIONS BYTES SECONDS [ACTIVE]
//
// Opens all connections and asks once on each, says "ready", and waits for a line from stdin; so
// what is measured is requests, not the making of connections. Then only the first ACTIVE ask, all
// of them if it is left out. Prints one line of JSON: requests, seconds, and the median and 99th
// percentile of a round trip in microseconds; and keeps the connections until stdin ends. Fails
// when an answer is not what was sent.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Connection {
  int fd = -1;
  std::size_t came = 0;  // of the answer under way
  std::string message;
  Clock::time_point sent;
};

int connect_to(unsigned short port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    die("connect");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void ask(Connection& connection) {
  connection.came = 0;
  connection.sent = Clock::now();
  // One message fits the socket's buffer: blocking, it goes whole.
  if (send(connection.fd, connection.message.data(), connection.message.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(connection.message.size())) {
    die("send");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) return 2;
  auto port = static_cast<unsigned short>(std::atoi(argv[1]));
  std::vector<Connection> connections(static_cast<std::size_t>(std::atoi(argv[2])));
  auto size = static_cast<std::size_t>(std::atoi(argv[3]));
  std::chrono::duration<double> length(std::atof(argv[4]));
  auto active = argc == 6 ? static_cast<std::size_t>(std::atoi(argv[5])) : connections.size();

  int poll = epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < connections.size(); ++i) {
    Connection& each = connections[i];
    each.fd = connect_to(port);
    each.message.resize(size);
    for (std::size_t at = 0; at < size; ++at) each.message[at] = static_cast<char>(i + at * 31);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, each.fd, &event) < 0) die("epoll_ctl");
  }
  std::vector<float> trips;
  trips.reserve(std::size_t{1} << 22);
  std::array<char, 16 * 1024> data;
  std::array<epoll_event, 1024> events;
  // Asks on the first so many connections, again and again until `end`.
  auto run = [&](std::size_t count, Clock::time_point end) {
    for (std::size_t i = 0; i < count; ++i) ask(connections[i]);
    for (std::size_t under_way = count; under_way > 0;) {
      int ready = epoll_wait(poll, events.data(), events.size(), 5000);
      if (ready == 0) {
        std::fprintf(stderr, "no answer for five seconds\n");
        std::exit(1);
      }
      for (int i = 0; i < ready; ++i) {
        Connection& each = connections[events[static_cast<std::size_t>(i)].data.u64];
        ssize_t came = recv(each.fd, data.data(), std::min(data.size(), size - each.came), 0);
        if (came <= 0) die("recv");
        if (!std::equal(data.begin(), data.begin() + came,
                        each.message.begin() + static_cast<std::ptrdiff_t>(each.came))) {
          std::fprintf(stderr, "an answer is not what was sent\n");
          std::exit(1);
        }
        each.came += static_cast<std::size_t>(came);
        if (each.came < size) continue;
        auto now = Clock::now();
        trips.push_back(std::chrono::duration<float, std::micro>(now - each.sent).count());
        if (now < end) {
          ask(each);
        } else {
          --under_way;
        }
      }
    }
  };
  run(connections.size(), Clock::now());
  std::puts("ready");
  std::fflush(stdout);
  if (std::getchar() == EOF) return 1;
  trips.clear();
  auto begin = Clock::now();
  run(active, begin + std::chrono::duration_cast<Clock::duration>(length));
  std::chrono::duration<double> took = Clock::now() - begin;
  auto percentile = [&](double share) {
    auto place =
        trips.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(trips.size() - 1));
    std::nth_element(trips.begin(), place, trips.end());
    return static_cast<double>(*place);
  };
  std::printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
              trips.size(), took.count(), percentile(0.5), percentile(0.99));
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
