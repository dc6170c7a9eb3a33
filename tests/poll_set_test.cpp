#include "io/poll_set.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "children.hpp"
#include "descriptors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "io/syscalls.hpp"

namespace io = fern::io;
using namespace std::chrono_literals;

namespace {

using PollSetTest = fern::testing::DescriptorTest;

TEST_F(PollSetTest, ADescriptorOfOthersClosedBehindOurBackAndReusedWaitsAnew) {
  auto* old = new Pipe;
  int number = old->ends[0];
  auto wait = [](int fd) {
    pollfd one{fd, POLLIN, 0};
    return io::poll(&one, 1, 2s) == 1 ? int{one.revents} : -1;
  };
  auto stale = fern::spawn(wait, number);
  fern::sleep(1ms);
  delete old;
  Pipe fresh;
  ASSERT_EQ(fresh.ends[0], number);
  auto waiter = fern::spawn(wait, number);
  fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  EXPECT_EQ(::write(fresh.ends[1], "x", 1), 1);
  EXPECT_EQ(waiter.get(), POLLIN);
  EXPECT_EQ(stale.get(), POLLIN);  // it cannot know that the number means another pipe
}

TEST_F(PollSetTest, ADescriptorOfOthersClosedWithADuplicateLeftDoesNotKeepTheLoopBusy) {
  Pipe pipe;
  int duplicate = ::fcntl(pipe.ends[0], F_DUPFD_CLOEXEC, 0);
  auto waiter = fern::spawn([&] {
    pollfd one{duplicate, POLLIN, 0};
    return io::poll(&one, 1, 30ms);
  });
  fern::sleep(1ms);
  ::close(duplicate);
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  auto polls = fern::Hub::current().polls();
  waiter.join();
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
}

TEST_F(PollSetTest, AFileIsReadAtOnce) {
  int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  char text[10];
  EXPECT_EQ(io::read(file, text, sizeof text, {}), 10);
  ::close(file);
  int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(io::read(zero, text, sizeof text, {}), 10);
  pollfd one{zero, POLLIN, 0};
  EXPECT_EQ(io::poll(&one, 1, {}), 1);
  ::close(zero);
}

TEST_F(PollSetTest, APipeOfOthersIsReadAndWrittenWithItsFlagsUntouched) {
  Pipe pipe;
  std::string big(1 << 20, 'x');
  auto writer = fern::spawn([&] {
    std::size_t sent = 0;
    while (sent < big.size()) {
      ssize_t went = io::write(pipe.ends[1], big.data() + sent, big.size() - sent, {});
      if (went <= 0) break;
      sent += static_cast<std::size_t>(went);
    }
    return sent;
  });
  fern::sleep(1ms);
  EXPECT_FALSE(writer.ready());
  EXPECT_EQ(::fcntl(pipe.ends[1], F_GETFL) & O_NONBLOCK, 0);
  std::size_t got = 0;
  std::vector<char> buffer(1 << 16);
  while (got < big.size()) {
    ssize_t came = io::read(pipe.ends[0], buffer.data(), buffer.size(), {});
    ASSERT_GT(came, 0);
    got += static_cast<std::size_t>(came);
    EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_EQ(writer.get(), big.size());
  auto reader = fern::spawn([&] { return io::read(pipe.ends[0], buffer.data(), 1, {}); });
  fern::sleep(1ms);
  EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, 0);
  send_byte(pipe);
  EXPECT_EQ(reader.get(), 1);
}

TEST_F(PollSetTest, AnInheritedDescriptorReadInAChildDoesNotDisturbTheParentsWait) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pipe pipe;
  auto poller = fern::spawn([&] {
    pollfd one{pipe.ends[0], POLLIN, 0};
    return io::poll(&one, 1, {});
  });
  fern::sleep(1ms);
  int status = fern::testing::in_child([&] {
    pollfd one{pipe.ends[0], POLLIN, 0};
    if (io::poll(&one, 1, 5ms) != 0) return 1;
    auto waiter = fern::spawn([&] { return io::poll(&one, 1, {}); });
    fern::sleep(1ms);
    send_byte(pipe);
    return waiter.get() == 1 ? 0 : 2;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  EXPECT_EQ(poller.get(), 1);
}

TEST_F(PollSetTest, OnePollWaitsForManyAndForOneTwice) {
  std::vector<Pipe> pipes(20);
  std::vector<pollfd> fds;
  for (auto& pipe : pipes) fds.push_back({pipe.ends[0], POLLIN, 0});
  fds.push_back({-1, POLLIN, 0});
  fds.push_back({pipes[3].ends[0], POLLPRI, 0});
  EXPECT_EQ(io::poll(fds.data(), fds.size(), 1ms), 0);
  auto poller = fern::spawn([&] { return io::poll(fds.data(), fds.size(), {}); });
  fern::sleep(1ms);
  send_byte(pipes[3]);
  send_byte(pipes[17]);
  EXPECT_EQ(poller.get(), 2);
  EXPECT_EQ(fds[3].revents, POLLIN);
  EXPECT_EQ(fds[17].revents, POLLIN);
  EXPECT_EQ(fds[4].revents, 0);
}

}  // namespace
