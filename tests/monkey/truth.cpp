#include "monkey/truth.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>

using namespace std::chrono_literals;

namespace fern::truth {
namespace {

// What errno is before each call; no call sets it.
constexpr int untouched = 4711;

// How often a thread is seen asleep, in a row, before it is taken to wait in its call; and to
// block its hub.
constexpr int looks_asleep = 3;
constexpr int looks_blocked = 1000;
constexpr auto between_looks = 500us;

std::chrono::seconds patience() {
  const char* factor = std::getenv("FERN_TESTS_PATIENCE");
  return 20s * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

std::atomic<int> handled{0};

}  // namespace

World::World(bool green) : green_(green), tid_(static_cast<int>(::gettid())) {
  if (green_) ticker_ = fern::spawn([this] { tick(); });
}

World::~World() {
  over_ = true;
  if (green_) ticker_.join();
  for (const Fd& fd : fds_) ::close(fd.number);
}

void World::tick() {
  while (!over_) {
    fern::sleep(1ms);
    ++ticks_;
  }
}

int World::own(int fd) {
  if (fd < 0) {
    ADD_FAILURE() << "no descriptor to begin with: " << std::strerror(errno);
  } else {
    std::lock_guard lock(mutex_);
    fds_.push_back({fd, ::fcntl(fd, F_GETFL)});
  }
  return fd;
}

std::pair<int, int> World::own(std::pair<int, int> fds) {
  own(fds.first);
  own(fds.second);
  return fds;
}

void World::disown(int fd) {
  std::lock_guard lock(mutex_);
  std::erase_if(fds_, [fd](const Fd& owned) { return owned.number == fd; });
}

void World::close(int fd) {
  disown(fd);
  ::close(fd);
}

int World::closed_fd() {
  int fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 700);
  ::close(fd);
  return fd;
}

std::pair<int, int> World::pair(int type) {
  int ends[2] = {-1, -1};
  ::socketpair(AF_UNIX, type, 0, ends);
  return own({ends[0], ends[1]});
}

std::pair<int, int> World::pipe(int flags) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, flags) != 0) ends[0] = -1;
  return own({ends[0], ends[1]});
}

std::pair<int, int> World::tcp() {
  sockaddr_in address = loopback();
  socklen_t size = sizeof address;
  auto* to = reinterpret_cast<sockaddr*>(&address);
  monkey::native_scope native;
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  ::bind(listener, to, size);
  ::listen(listener, 1);
  ::getsockname(listener, to, &size);
  int client = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(client, to, size), 0);
  int server = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  return own({client, server});
}

std::pair<int, int> World::udp() {
  sockaddr_in address = loopback();
  socklen_t size = sizeof address;
  auto* to = reinterpret_cast<sockaddr*>(&address);
  int here = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::bind(here, to, size);
  ::getsockname(here, to, &size);
  int there = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::connect(there, to, size);
  return own({here, there});
}

void World::begin() {
  {
    std::lock_guard lock(mutex_);
    for (Fd& fd : fds_) fd.flags = ::fcntl(fd.number, F_GETFL);
  }
  calling_ = true;
  errno = untouched;
}

void World::end() {
  calling_ = false;
  std::lock_guard lock(mutex_);
  for (Fd& fd : fds_) {
    int flags = ::fcntl(fd.number, F_GETFL);
    if (flags == fd.flags) continue;
    outcome_.append("  flags became: ").append(std::to_string(flags)).append("\n");
    fd.flags = flags;
  }
}

void World::note(std::string_view what, std::string_view value) {
  std::lock_guard lock(mutex_);
  outcome_.append("  ").append(what).append(": ").append(value).append("\n");
}

void World::note_result(std::string_view what, long long result, int error) {
  std::string text = std::to_string(result);
  if (error != untouched) {
    const char* name = ::strerrorname_np(error);
    text.append(", ").append(name == nullptr ? std::to_string(error) : name);
  }
  note(what, std::string_view(text));
}

bool World::asleep() const {
  std::ifstream file("/proc/self/task/" + std::to_string(tid_) + "/stat");
  std::string stat;
  std::getline(file, stat);
  std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] == 'S';
}

void World::until_waiting() {
  unsigned turns = ticks_ + 2;
  int looks = 0;
  int in_vain = 0;
  while (!leaving_) {
    std::this_thread::sleep_for(between_looks);
    bool sleeps = calling_ && asleep();
    bool hub_runs = !green_ || static_cast<int>(ticks_ - turns) >= 0;
    looks = sleeps && hub_runs ? looks + 1 : 0;
    in_vain = sleeps && !hub_runs ? in_vain + 1 : 0;
    if (looks >= looks_asleep) return;
    if (in_vain >= looks_blocked) {
      blocked_ = true;
      return;
    }
  }
}

Peer World::when_waiting(std::function<void()> act) {
  leaving_ = false;
  return {leaving_, std::thread([this, act = std::move(act)] {
            until_waiting();
            act();
          })};
}

Peer World::will_send(int fd, std::vector<std::string> pieces) {
  return when_waiting([this, fd, pieces = std::move(pieces)] {
    for (const std::string& piece : pieces) {
      if (&piece != &pieces.front()) until_waiting();
      EXPECT_EQ(::write(fd, piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
    }
  });
}

Handles::Handles(int signal, int flags) : signal_(signal) {
  handled = 0;
  struct sigaction action{};
  action.sa_handler = [](int) { ++handled; };
  action.sa_flags = flags;
  ::sigaction(signal, &action, &before_);
}

Handles::~Handles() { ::sigaction(signal_, &before_, nullptr); }

int Handles::count() { return handled; }

UnixListener::UnixListener(World& world, int backlog) {
  static std::atomic<int> number{0};
  name.sun_family = AF_UNIX;
  int length = std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "fern-truth-%d-%d",
                             ::getpid(), ++number);
  size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path)) + 1 + static_cast<socklen_t>(length);
  fd = world.own(::socket(AF_UNIX, SOCK_STREAM, 0));
  ::bind(fd, reinterpret_cast<const sockaddr*>(&name), size);
  ::listen(fd, backlog);
}

int UnixListener::connect_to(int from) const {
  return ::connect(from, reinterpret_cast<const sockaddr*>(&name), size);
}

void UnixListener::fill(World& world) const {
  while (connect_to(world.own(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0))) == 0) {
  }
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

void set_limit(int fd, int option, int milliseconds) {
  timeval limit{milliseconds / 1000, milliseconds % 1000 * 1000};
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit), 0);
}

void reset(World& world, int fd) {
  linger at_once{1, 0};
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  world.close(fd);
}

std::size_t fill(int fd) {
  monkey::native_scope native;
  int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  std::size_t filled = 0;
  const std::string page(4096, 'f');
  // Loopback moves what it has taken to the other end, and then there is room again: at once, or
  // when TCP asks the other end after 200 ms whether its window is still shut.
  int domain = 0;
  socklen_t domain_size = sizeof domain;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size);
  int in_vain = 0;
  while (in_vain < 20) {
    std::size_t before = filled;
    for (std::size_t size : {page.size(), std::size_t{1}}) {
      for (;;) {
        ssize_t sent = ::write(fd, page.data(), size);
        if (sent <= 0) break;
        filled += static_cast<std::size_t>(sent);
      }
    }
    if (domain != AF_INET) break;
    in_vain = filled == before ? in_vain + 1 : 0;
    std::this_thread::sleep_for(25ms);
  }
  ::fcntl(fd, F_SETFL, flags);
  return filled;
}

std::string read_all(int fd, std::size_t most) {
  monkey::native_scope native;
  std::string all;
  char bytes[4096];
  pollfd ready{fd, POLLIN, 0};
  while (all.size() < most && ::poll(&ready, 1, 0) > 0) {
    ssize_t got = ::read(fd, bytes, std::min(sizeof bytes, most - all.size()));
    if (got <= 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  return all;
}

std::size_t drain(int fd) {
  std::string room(65536, 0);
  std::size_t all = 0;
  for (;;) {
    ssize_t got = ::read(fd, room.data(), room.size());
    if (got <= 0) return all;
    all += static_cast<std::size_t>(got);
  }
}

void note_drained(World& world, int from, int to, const std::function<void()>& fill) {
  std::size_t arrived = 0;
  {
    Peer peer = world.when_waiting([&] { arrived = drain(from); });
    fill();
    world.close(to);
  }
  world.note("arrived", arrived);
}

int file(World& world, std::string_view text) {
  int fd = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::lseek(fd, 0, SEEK_SET);
  return world.own(fd);
}

namespace {

// A row's native half, in a thread of its own: who hangs there is named.
std::string run_natively(const char* group, const Row& row) {
  fern::Event ended;
  std::string outcome;
  std::thread thread([&] {
    {
      World world(false);
      row.run(world);
      outcome = world.outcome();
    }
    ended.set();
  });
  // The hub runs meanwhile: closing a descriptor tells it.
  if (!ended.wait(patience())) {
    std::cerr << group << ", " << row.name << ": hangs natively" << std::endl;
    std::abort();
  }
  thread.join();
  return outcome;
}

std::string run_green(const Row& row) {
  std::string outcome;
  auto run = [&] {
    World world(true);
    row.run(world);
    outcome = world.outcome();
    EXPECT_FALSE(world.blocked()) << "the hub was blocked";
  };
  if (row.in == In::Main) {
    run();
  } else {
    fern::spawn(run).join();
  }
  return outcome;
}

class TruthTest : public testing::MonkeyTest {
 public:
  TruthTest(const char* group, const Row& row, const char* keeps_heap) : group_(group), row_(row) {
    if (keeps_heap != nullptr) may_keep_heap(keeps_heap);
  }

  void TestBody() override {
    std::string native = run_natively(group_, row_);
    std::string green = run_green(row_);
    EXPECT_EQ(green, native);
    EXPECT_NE(native, "") << "the row takes nothing down";
    if (std::getenv("FERN_TRUTH_SHOW") != nullptr) {
      std::cout << group_ << ", " << row_.name << "\n" << native;
    }
  }

 private:
  const char* group_;
  const Row& row_;
};

}  // namespace

Rows::Rows(const char* group, std::initializer_list<Row> rows, const char* keeps_heap) {
  for (const Row& given : rows) {
    if (!given.wanted) continue;
    // As long as the tests: they are the program's.
    static std::deque<Row> kept;
    const Row& row = kept.emplace_back(given);
    ::testing::RegisterTest(group, row.name, nullptr, nullptr, __FILE__, __LINE__,
                            [group, &row, keeps_heap]() -> testing::FernTest* {
                              return new TruthTest(group, row, keeps_heap);
                            });
  }
}

}  // namespace fern::truth
