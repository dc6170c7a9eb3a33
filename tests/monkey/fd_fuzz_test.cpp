// Descriptors are opened, duplicated, replaced, closed, shut down, written, read, and handed to
// children at random, among greenlets that wait for them. A model knows what each number is and
// what each waiter must see.

#include "monkey/patched.hpp"

#include "children.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using fern::testing::children_may_switch;
using fern::testing::under_valgrind;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool watched_threads = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool watched_threads = true;
#else
constexpr bool watched_threads = false;
#endif
#else
constexpr bool watched_threads = false;
#endif

// One way that bytes go.
struct Way {
  std::deque<char> bytes;
  bool ended = false;  // nothing more can be written; what is there can be read
};

// An open file description: what descriptors are duplicates of.
struct Description {
  std::shared_ptr<Way> in;
  std::shared_ptr<Way> out;
  bool socket = false;
  bool reset = false;               // its peer went with bytes unread: the next reader is told so
  std::weak_ptr<Description> peer;  // the other end
};
using Open = std::shared_ptr<Description>;

// What a call came to: a byte, or minus an errno; a poll's events.
constexpr int end_of_file = 1000;
constexpr int ready = 2000;
constexpr int not_open = 2001;

enum class By { Read, Recv, Poll, Select };

struct Waiter {
  int number;
  By by;
  Open open;
  fern::Greenlet<int> greenlet;
  int expected = -1;  // once it is due

  bool takes() const { return by == By::Read || by == By::Recv; }
};

int wait_by(By by, int fd) {
  char byte = 0;
  ssize_t got = 0;
  switch (by) {
    case By::Read:
      got = read(fd, &byte, 1);
      break;
    case By::Recv:
      got = recv(fd, &byte, 1, 0);
      break;
    case By::Poll: {
      pollfd one{fd, POLLIN, 0};
      if (poll(&one, 1, -1) != 1) return -errno;
      return (one.revents & POLLNVAL) != 0 ? not_open : ready;
    }
    case By::Select: {
      fd_set set;
      FD_ZERO(&set);
      FD_SET(fd, &set);
      if (select(fd + 1, &set, nullptr, nullptr, nullptr) != 1) return -errno;
      return FD_ISSET(fd, &set) ? ready : -1;
    }
  }
  if (got < 0) return -errno;
  return got == 0 ? end_of_file : byte;
}

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void step() {
    using Deed = void (Model::*)();
    // How likely each is.
    static constexpr std::pair<int, Deed> deeds[] = {
        {6, &Model::make_pipe},   {6, &Model::make_sockets}, {8, &Model::duplicate},
        {8, &Model::replace},     {16, &Model::close_one},   {4, &Model::shut_down},
        {30, &Model::write_byte}, {10, &Model::read_byte},   {30, &Model::begin_to_wait},
        {1, &Model::fork_child},
    };
    int sum = 0;
    for (const auto& [weight, deed] : deeds) sum += weight;
    int choice = pick(sum);
    for (const auto& [weight, deed] : deeds) {
      choice -= weight;
      if (choice >= 0) continue;
      (this->*deed)();
      break;
    }
    settle();
  }

  // Closes everything: whoever still waits is told.
  void end() {
    while (!open_.empty()) {
      let_go_of(open_.begin()->first);
      settle();
    }
    EXPECT_TRUE(waiters_.empty());
  }

  std::string last;
  std::size_t told = 0;  // waiters that have seen what they must

 private:
  int pick(std::size_t count) {
    return std::uniform_int_distribution<int>(0, static_cast<int>(count) - 1)(random_);
  }
  int pick(int count) { return pick(static_cast<std::size_t>(count)); }

  int any_number() {
    if (open_.empty()) return -1;
    return std::next(open_.begin(), pick(open_.size()))->first;
  }
  bool crowded() const { return open_.size() > 40; }

  void add(int number, Open open) {
    ASSERT_GE(number, 0) << last;
    ASSERT_FALSE(open_.contains(number)) << last;
    open_[number] = std::move(open);
  }

  void make_pipe() {
    if (crowded()) return;
    last = "pipe";
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    connect_ends(ends, std::make_shared<Way>(), nullptr, false);
  }

  void make_sockets() {
    if (crowded()) return;
    last = "socketpair";
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    connect_ends(ends, std::make_shared<Way>(), std::make_shared<Way>(), true);
  }

  void connect_ends(const int* ends, std::shared_ptr<Way> to_first, std::shared_ptr<Way> back,
                    bool socket) {
    auto first = std::make_shared<Description>();
    auto second = std::make_shared<Description>();
    first->in = second->out = std::move(to_first);
    first->out = second->in = std::move(back);
    first->socket = second->socket = socket;
    first->peer = second;
    second->peer = first;
    add(ends[0], first);
    add(ends[1], second);
  }

  void duplicate() {
    int from = any_number();
    if (from < 0 || crowded()) return;
    last = "dup of " + std::to_string(from);
    add(dup(from), open_[from]);
  }

  void replace() {
    int from = any_number();
    if (from < 0) return;
    int to = pick(3) == 0 ? 200 + pick(20) : any_number();
    last = "dup2 of " + std::to_string(from) + " to " + std::to_string(to);
    Open open = open_[from];
    bool same = from == to;
    if (!same && open_.contains(to)) forget(to);
    int got = pick(2) == 0 || same ? dup2(from, to) : dup3(from, to, O_CLOEXEC);
    ASSERT_EQ(got, to) << last;
    open_[to] = open;
  }

  void close_one() {
    int number = any_number();
    if (number < 0) return;
    last = "close of " + std::to_string(number);
    let_go_of(number);
  }

  void let_go_of(int number) {
    forget(number);
    if (pick(8) == 0) {
      EXPECT_EQ(close_range(static_cast<unsigned>(number), static_cast<unsigned>(number), 0), 0);
    } else {
      EXPECT_EQ(close(number), 0) << last;
    }
  }

  // The number is not open any more; the description neither, if it was the last.
  void forget(int number) {
    for (Waiter& waiter : waiters_) {
      if (waiter.number != number) continue;
      waiter.expected = waiter.by == By::Poll ? not_open : -EBADF;
      waiter.open.reset();
    }
    Open open = open_[number];
    open_.erase(number);
    for (const auto& [other, description] : open_) {
      if (description == open) return;
    }
    Open peer = open->peer.lock();
    if (open->out != nullptr) open->out->ended = true;
    if (open->in != nullptr) open->in->ended = true;
    if (open->socket && peer != nullptr && !open->in->bytes.empty()) peer->reset = true;
  }

  void shut_down() {
    int number = any_number();
    if (number < 0) return;
    Open open = open_[number];
    int how = std::array{SHUT_RD, SHUT_WR, SHUT_RDWR}[static_cast<std::size_t>(pick(3))];
    last = "shutdown of " + std::to_string(number);
    if (!open->socket) {
      EXPECT_EQ(shutdown(number, how), -1) << last;
      EXPECT_EQ(errno, ENOTSOCK) << last;
      return;
    }
    EXPECT_EQ(shutdown(number, how), 0) << last;
    if (how != SHUT_WR) open->in->ended = true;
    if (how != SHUT_RD) open->out->ended = true;
  }

  void write_byte() {
    int number = any_number();
    if (number < 0) return;
    Way* way = open_[number]->out.get();
    last = "write to " + std::to_string(number);
    if (way != nullptr && way->bytes.size() > 40) return;
    char byte = static_cast<char>('a' + pick(26));
    ssize_t wrote = write(number, &byte, 1);
    if (way == nullptr) {
      EXPECT_EQ(wrote, -1) << last;
      EXPECT_EQ(errno, EBADF) << last;
    } else if (way->ended) {
      EXPECT_EQ(wrote, -1) << last;
      EXPECT_EQ(errno, EPIPE) << last;
    } else {
      EXPECT_EQ(wrote, 1) << last;
      way->bytes.push_back(byte);
    }
  }

  static bool has_news(const Description& open) {
    return open.in != nullptr && (!open.in->bytes.empty() || open.in->ended || open.reset);
  }

  // What a read of one that has_news() takes.
  static int take(Description& open) {
    if (!open.in->bytes.empty()) {
      char byte = open.in->bytes.front();
      open.in->bytes.pop_front();
      return byte;
    }
    if (!open.reset) return end_of_file;
    open.reset = false;
    return -ECONNRESET;
  }

  void read_byte() {
    int number = any_number();
    if (number < 0) return;
    Open open = open_[number];
    last = "read of " + std::to_string(number);
    if (open->in == nullptr) {
      EXPECT_EQ(wait_by(By::Read, number), -EBADF) << last;
    } else if (has_news(*open)) {
      EXPECT_EQ(wait_by(By::Read, number), take(*open)) << last;
    }
  }

  // Of those who wait for the same bytes, one may take them or all may look.
  void begin_to_wait() {
    int number = any_number();
    if (number < 0 || waiters_.size() > 20) return;
    Open open = open_[number];
    if (open->in == nullptr || has_news(*open)) return;
    auto by = static_cast<By>(pick(4));
    if (by == By::Recv && !open->socket) by = By::Read;
    bool takes = by == By::Read || by == By::Recv;
    for (const Waiter& waiter : waiters_) {
      if (waiter.open == open && (takes || waiter.takes())) return;
    }
    last = "wait for " + std::to_string(number);
    waiters_.push_back({number, by, open, fern::spawn(wait_by, by, number)});
    fern::yield();
  }

  // A child has all descriptors, closes some or runs another program, and ends.
  void fork_child() {
    if (!children_may_switch || under_valgrind()) return;
    bool runs = pick(2) == 0;
    int closes = any_number();
    last = runs ? "a child that runs" : "a child";
    pid_t child = fork();
    if (child == 0) {
      if (closes >= 0) close(closes);
      if (runs) execl("/bin/true", "true", nullptr);
      _exit(0);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << last;
  }

  // Whoever must have seen something has, and nobody else.
  void settle() {
    for (Waiter& waiter : waiters_) {
      if (waiter.expected != -1 || !has_news(*waiter.open)) continue;
      waiter.expected = waiter.takes() ? take(*waiter.open) : ready;
    }
    for (Waiter& waiter : waiters_) {
      if (waiter.expected == -1) continue;
      EXPECT_EQ(waiter.greenlet.get(), waiter.expected)
          << "waiting for " << waiter.number << " at a " << last;
      ++told;
    }
    std::erase_if(waiters_, [](const Waiter& waiter) { return waiter.expected != -1; });
    fern::yield();
    for (Waiter& waiter : waiters_) {
      EXPECT_FALSE(waiter.greenlet.ready()) << "waiting for " << waiter.number << " at a " << last;
    }
  }

  std::mt19937 random_;
  std::map<int, Open> open_;
  std::vector<Waiter> waiters_;
};

TEST_F(MonkeyTest, EachNumberIsWhatTheModelSaysAndEachWaiterSeesIt) {
  watch_longer(120s);
  auto* before = std::signal(SIGPIPE, SIG_IGN);
  const char* given = std::getenv("FERN_FUZZ_SEED");
  unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                                   : std::random_device()();
  std::printf("FERN_FUZZ_SEED=%u\n", seed);
  int steps = under_valgrind() || watched_threads ? 1000 : 10'000;
  Model model(seed);
  for (int i = 0; i < steps && !HasFailure(); ++i) {
    model.step();
    if (HasFailure()) ADD_FAILURE() << "step " << i << ", FERN_FUZZ_SEED=" << seed;
  }
  if (!HasFailure()) {
    model.end();
    EXPECT_GT(model.told, static_cast<std::size_t>(steps / 50));
  }
  std::signal(SIGPIPE, before);
}

}  // namespace
