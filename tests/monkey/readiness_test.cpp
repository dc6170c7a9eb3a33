// poll, select and epoll_wait park their greenlet, and say what the native ones say.

#include "monkey/patched.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

class MonkeyReadiness : public MonkeyTest {
 protected:
  static pollfd wanting(int fd, short events = POLLIN) { return {fd, events, 0}; }
  static void send_to(int fd) { EXPECT_EQ(send(fd, "x", 1, 0), 1); }
};

// A regular file, open.
struct File {
  File() : fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) { EXPECT_GE(fd, 0); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(fd); }
  int fd;
};

// A set of epoll's that has one descriptor.
struct Epoll {
  explicit Epoll(int of, std::uint32_t events = EPOLLIN) : fd(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = events;
    event.data.fd = of;
    EXPECT_EQ(epoll_ctl(fd, EPOLL_CTL_ADD, of, &event), 0);
  }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  ~Epoll() { close(fd); }
  int fd;
};

volatile std::sig_atomic_t handled = 0;

// SIGUSR1 is held back while this lives, and counted when it comes.
struct HeldSignal {
  HeldSignal() {
    handled = 0;
    struct sigaction action{};
    action.sa_handler = [](int) { handled = handled + 1; };
    sigaction(SIGUSR1, &action, &before);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, &held_before);
    lets_in = held_before;
    sigdelset(&lets_in, SIGUSR1);
  }
  HeldSignal(const HeldSignal&) = delete;
  HeldSignal& operator=(const HeldSignal&) = delete;
  ~HeldSignal() {
    pthread_sigmask(SIG_SETMASK, &held_before, nullptr);
    sigaction(SIGUSR1, &before, nullptr);
  }
  static bool still_held() {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return sigismember(&now, SIGUSR1) == 1;
  }
  struct sigaction before{};
  sigset_t held_before{};
  sigset_t lets_in{};
};

TEST_F(MonkeyReadiness, PollLetsOthersRunUntilSomethingIsReady) {
  Pair first;
  Pair second;
  auto poller = fern::spawn([&] {
    pollfd fds[] = {wanting(first[0]), wanting(second[0])};
    EXPECT_EQ(poll(fds, 2, -1), 1);
    EXPECT_EQ(fds[0].revents, 0);
    EXPECT_EQ(fds[1].revents, POLLIN);
  });
  fern::yield();
  EXPECT_FALSE(poller.ready());
  send_to(second[1]);
  poller.join();
}

TEST_F(MonkeyReadiness, PollEndsAfterItsTimeAndNoSooner) {
  Pair pair;
  pollfd one = wanting(pair[0]);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(poll(&one, 1, 15), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 15ms);
  timespec time{0, 1'500'000};
  begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ppoll(&one, 1, &time, nullptr), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1500us);
}

TEST_F(MonkeyReadiness, PollOfNothingSleeps) {
  bool other = false;
  auto greenlet = fern::spawn([&] { other = true; });
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(poll(nullptr, 0, 10), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_TRUE(other);
}

TEST_F(MonkeyReadiness, PollWithNoTimeGivesWay) {
  Pair pair;
  pollfd one = wanting(pair[0]);
  auto sender = fern::spawn([&] { send_to(pair[1]); });
  while (poll(&one, 1, 0) == 0) {
  }
  EXPECT_EQ(one.revents, POLLIN);
}

TEST_F(MonkeyReadiness, PollSaysWhatIsNotOpenAndPassesOverNegativeNumbers) {
  Pair pair;
  int gone = dup(pair[0]);
  close(gone);
  pollfd fds[] = {wanting(-1), wanting(gone), wanting(pair[0])};
  EXPECT_EQ(poll(fds, 3, -1), 1);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLNVAL);
  pollfd none = wanting(-1);
  EXPECT_EQ(poll(&none, 1, 5), 0);
}

TEST_F(MonkeyReadiness, PollTellsADescriptorThatIsThereTwiceTwice) {
  Pair pair;
  auto poller = fern::spawn([&] {
    pollfd fds[] = {wanting(pair[0]), wanting(pair[0]), wanting(pair[0], POLLPRI)};
    EXPECT_EQ(poll(fds, 3, -1), 2);
    EXPECT_EQ(fds[0].revents, POLLIN);
    EXPECT_EQ(fds[1].revents, POLLIN);
  });
  fern::yield();
  send_to(pair[1]);
  poller.join();
}

TEST_F(MonkeyReadiness, PollOfMoreThanAFewWaitsForAllOfThem) {
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<pollfd> fds;
  for (int i = 0; i < 40; ++i) {
    pairs.push_back(std::make_unique<Pair>());
    fds.push_back(wanting((*pairs.back())[0]));
  }
  for (std::size_t i : {39U, 0U, 20U}) {
    auto poller = fern::spawn([&] { return poll(fds.data(), fds.size(), -1); });
    fern::yield();
    send_to((*pairs[i])[1]);
    EXPECT_EQ(poller.get(), 1);
    EXPECT_EQ(fds[i].revents, POLLIN);
    char byte;
    EXPECT_EQ(recv((*pairs[i])[0], &byte, 1, 0), 1);
  }
}

TEST_F(MonkeyReadiness, AFileIsReadyAtOnceOrNever) {
  File file;
  pollfd one = wanting(file.fd);
  EXPECT_EQ(poll(&one, 1, -1), 1);
  one = wanting(file.fd, POLLPRI);
  EXPECT_EQ(poll(&one, 1, 5), 0);
}

TEST_F(MonkeyReadiness, AKillEndsAPollWithEcanceled) {
  Pair pair;
  int error = 0;
  auto victim = fern::spawn([&] {
    pollfd one = wanting(pair[0]);
    EXPECT_EQ(poll(&one, 1, -1), -1);
    error = errno;
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(error, ECANCELED);
}

TEST_F(MonkeyReadiness, APpollThatLetsAPendingSignalInIsInterrupted) {
  HeldSignal signal;
  Pair pair;
  raise(SIGUSR1);
  EXPECT_EQ(handled, 0);
  pollfd one = wanting(pair[0]);
  EXPECT_EQ(ppoll(&one, 1, nullptr, &signal.lets_in), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(handled, 1);
  EXPECT_TRUE(HeldSignal::still_held());
}

TEST_F(MonkeyReadiness, ASignalThatComesToAWaitingPpollIsLetInByIt) {
  HeldSignal signal;
  Pair pair;
  std::string ends;
  auto ppoller = fern::spawn([&] {
    pollfd one = wanting(pair[0]);
    EXPECT_EQ(ppoll(&one, 1, nullptr, &signal.lets_in), -1);
    EXPECT_EQ(errno, EINTR);
  });
  fern::yield();
  raise(SIGUSR1);
  EXPECT_EQ(handled, 0);
  ppoller.join();
  EXPECT_EQ(handled, 1);
  auto selecter = fern::spawn([&] {
    EXPECT_EQ(pselect(0, nullptr, nullptr, nullptr, nullptr, &signal.lets_in), -1);
    EXPECT_EQ(errno, EINTR);
  });
  Epoll epoll(pair[0]);
  fern::yield();
  raise(SIGUSR1);
  selecter.join();
  EXPECT_EQ(handled, 2);
  auto waiter = fern::spawn([&] {
    epoll_event event;
    EXPECT_EQ(epoll_pwait(epoll.fd, &event, 1, -1, &signal.lets_in), -1);
    EXPECT_EQ(errno, EINTR);
  });
  fern::yield();
  raise(SIGUSR1);
  waiter.join();
  EXPECT_EQ(handled, 3);
  EXPECT_TRUE(HeldSignal::still_held());
}

TEST_F(MonkeyReadiness, APpollThatLetsNothingInIsNotInterrupted) {
  HeldSignal signal;
  Pair pair;
  raise(SIGUSR1);
  pollfd one = wanting(pair[0]);
  timespec time{0, 5'000'000};
  sigset_t holds = signal.lets_in;
  sigaddset(&holds, SIGUSR1);
  EXPECT_EQ(ppoll(&one, 1, &time, &holds), 0);
  EXPECT_EQ(handled, 0);
}

TEST_F(MonkeyReadiness, SelectLetsOthersRunAndSaysWhatIsReady) {
  Pair first;
  Pair second;
  auto selecter = fern::spawn([&] {
    fd_set read;
    FD_ZERO(&read);
    FD_SET(first[0], &read);
    FD_SET(second[0], &read);
    fd_set write;
    FD_ZERO(&write);
    int most = std::max(first[0], second[0]);
    EXPECT_EQ(select(most + 1, &read, &write, nullptr, nullptr), 1);
    EXPECT_FALSE(FD_ISSET(first[0], &read));
    EXPECT_TRUE(FD_ISSET(second[0], &read));
  });
  fern::yield();
  send_to(second[1]);
  selecter.join();
}

TEST_F(MonkeyReadiness, SelectWritesBackTheRestOfItsTime) {
  Pair pair;
  fd_set read;
  FD_ZERO(&read);
  FD_SET(pair[0], &read);
  timeval time{0, 10'000};
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(select(pair[0] + 1, &read, nullptr, nullptr, &time), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_EQ(time.tv_sec, 0);
  EXPECT_EQ(time.tv_usec, 0);
  EXPECT_FALSE(FD_ISSET(pair[0], &read));
  send_to(pair[1]);
  time = {100, 0};
  FD_SET(pair[0], &read);
  EXPECT_EQ(select(pair[0] + 1, &read, nullptr, nullptr, &time), 1);
  EXPECT_LE(time.tv_sec, 100);
  EXPECT_GE(time.tv_sec, 1);
}

TEST_F(MonkeyReadiness, SelectOfWhatIsNotOpenLeavesTheSets) {
  Pair pair;
  int gone = dup(pair[0]);
  close(gone);
  fd_set read;
  FD_ZERO(&read);
  FD_SET(pair[0], &read);
  FD_SET(gone, &read);
  EXPECT_EQ(select(gone + 1, &read, nullptr, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_TRUE(FD_ISSET(pair[0], &read));
  EXPECT_TRUE(FD_ISSET(gone, &read));
  EXPECT_EQ(select(-1, &read, nullptr, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(MonkeyReadiness, SelectTakesNumbersBeyondFdSetsize) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlimit more = limit;
  more.rlim_cur = std::min<rlim_t>(limit.rlim_max, 5000);
  setrlimit(RLIMIT_NOFILE, &more);
  Pair pair;
  constexpr int number = 3000;
  ASSERT_EQ(dup2(pair[0], number), number) << "no room for many descriptors";
  constexpr std::size_t bits = 8 * sizeof(unsigned long);
  std::vector<unsigned long> words(5000 / bits + 1);
  auto selecter = fern::spawn([&] {
    words[number / bits] |= 1UL << number % bits;
    auto* set = reinterpret_cast<fd_set*>(words.data());
    EXPECT_EQ(select(number + 1, set, nullptr, nullptr, nullptr), 1);
    EXPECT_EQ(words[number / bits], 1UL << number % bits);
  });
  fern::yield();
  send_to(pair[1]);
  selecter.join();
  close(number);
  setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(MonkeyReadiness, SelectReadsNoMoreOfItsSetsThanTheKernelWould) {
  Pair pair;
  std::vector<fd_set> room(64);
  FD_SET(pair[0], room.data());
  send_to(pair[1]);
  EXPECT_EQ(select(std::numeric_limits<int>::max(), room.data(), nullptr, nullptr, nullptr), 1);
}

TEST_F(MonkeyReadiness, SelectForTheExceptionalDoesNotTakeAHangUpForOne) {
  Pair pair;
  pair.close(1);
  fd_set except;
  FD_ZERO(&except);
  FD_SET(pair[0], &except);
  timeval time{0, 10'000};
  EXPECT_EQ(select(pair[0] + 1, nullptr, nullptr, &except, &time), 0);
}

TEST_F(MonkeyReadiness, EpollWaitWaitsForItsSet) {
  Pair pair;
  Epoll epoll(pair[0], EPOLLIN | EPOLLET);
  auto waiter = fern::spawn([&] {
    epoll_event event;
    EXPECT_EQ(epoll_wait(epoll.fd, &event, 1, -1), 1);
    EXPECT_EQ(event.data.fd, pair[0]);
    EXPECT_EQ(epoll_wait(epoll.fd, &event, 1, 5), 0);
  });
  fern::yield();
  send_to(pair[1]);
  waiter.join();
}

TEST_F(MonkeyReadiness, EachEventGoesToOneOfThoseWhoWaitForTheSet) {
  Pair pair;
  Epoll epoll(pair[0], EPOLLIN | EPOLLET);
  int got = 0;
  auto wait = [&] {
    epoll_event event;
    got += epoll_wait(epoll.fd, &event, 1, -1);
  };
  auto first = fern::spawn(wait);
  auto second = fern::spawn(wait);
  fern::yield();
  send_to(pair[1]);
  fern::wait(std::vector{first, second}, {.count = 1});
  EXPECT_EQ(got, 1);
  send_to(pair[1]);
  fern::joinall({first, second});
  EXPECT_EQ(got, 2);
}

TEST_F(MonkeyReadiness, EpollWaitRefusesWhatTheKernelRefuses) {
  Pair pair;
  Epoll epoll(pair[0]);
  epoll_event event;
  EXPECT_EQ(epoll_wait(epoll.fd, &event, 0, -1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(epoll_wait(pair[0], &event, 1, -1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(epoll_wait(-1, &event, 1, -1), -1);
  EXPECT_EQ(errno, EBADF);
  timespec bad{0, -1};
  EXPECT_EQ(epoll_pwait2(epoll.fd, &event, 1, &bad, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(MonkeyReadiness, SetsInSetsAreWaitedForHoweverDeep) {
  Pair pair;
  Epoll innermost(pair[0]);
  Epoll inner(innermost.fd);
  Epoll middle(inner.fd);
  Epoll outer(middle.fd);
  auto waiter = fern::spawn([&] {
    epoll_event event;
    EXPECT_EQ(epoll_wait(outer.fd, &event, 1, -1), 1);
  });
  fern::yield();
  send_to(pair[1]);
  waiter.join();
}

}  // namespace
