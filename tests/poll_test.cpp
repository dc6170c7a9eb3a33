#include "fern/selector.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <system_error>
#include <vector>

#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/socket.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

class PollTest : public FernTest {
 protected:
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    ~Pipe() {
      close_end(0);
      close_end(1);
    }
    void close_end(int end) {
      if (ends[end] >= 0) ::close(std::exchange(ends[end], -1));
    }
    void write(std::string_view text) {
      EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    int ends[2];
  };
};

TEST_F(PollTest, WaitReadableWaitsForData) {
  Pipe pipe;
  auto waiter = fern::spawn([&] { return fern::wait_readable(pipe.ends[0]); });
  fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  pipe.write("x");
  EXPECT_TRUE(waiter.get());
  EXPECT_TRUE(fern::wait_readable(pipe.ends[0], 0s));
}

TEST_F(PollTest, WaitReadableIsFalseWhenTheDeadlinePasses) {
  Pipe pipe;
  EXPECT_FALSE(fern::wait_readable(pipe.ends[0], 1ms));
  EXPECT_FALSE(fern::wait_readable(pipe.ends[0], 0s));
}

TEST_F(PollTest, WaitReadableEndsWithTheOtherEnd) {
  Pipe pipe;
  auto waiter = fern::spawn([&] { return fern::wait_readable(pipe.ends[0]); });
  fern::sleep(1ms);
  pipe.close_end(1);
  EXPECT_TRUE(waiter.get());
}

TEST_F(PollTest, WaitWritableWaitsForRoom) {
  Pipe pipe;
  EXPECT_TRUE(fern::wait_writable(pipe.ends[1]));
  pipe.write(std::string(1 << 16, 'x'));
  auto waiter = fern::spawn([&] { return fern::wait_writable(pipe.ends[1]); });
  fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  std::vector<char> room(1 << 16);
  EXPECT_GT(::read(pipe.ends[0], room.data(), room.size()), 0);
  EXPECT_TRUE(waiter.get());
}

TEST_F(PollTest, AllWhoWaitForOneDescriptorAreTold) {
  Pipe pipe;
  std::vector<fern::Greenlet<bool>> waiters;
  for (int i = 0; i < 10; ++i) {
    waiters.push_back(fern::spawn([&] { return fern::wait_readable(pipe.ends[0]); }));
  }
  fern::sleep(1ms);
  pipe.write("x");
  for (auto& waiter : waiters) EXPECT_TRUE(waiter.get());
}

TEST_F(PollTest, TheFlagsOfADescriptorAreTheUsersBeforeDuringAndAfterAWait) {
  Pipe pipe;
  for (int flags : {0, O_NONBLOCK}) {
    ASSERT_EQ(::fcntl(pipe.ends[0], F_SETFL, flags), 0);
    EXPECT_FALSE(fern::wait_readable(pipe.ends[0], 1ms));
    auto waiter = fern::spawn([&] { return fern::wait_readable(pipe.ends[0], 2ms); });
    fern::sleep(1ms);
    EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, flags);
    EXPECT_FALSE(waiter.get());
    EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, flags);
  }
}

TEST_F(PollTest, AFileIsAlwaysReady) {
  int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  EXPECT_TRUE(fern::wait_readable(file));
  EXPECT_TRUE(fern::wait_writable(file));
  ::close(file);
}

TEST_F(PollTest, WhatIsNotOpenIsAnError) {
  for (int fd : {-1, 1 << 20}) {
    try {
      fern::wait_readable(fd);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), std::errc::bad_file_descriptor);
    }
  }
  pollfd one{1 << 20, POLLIN, 0};
  EXPECT_EQ(fern::poll({&one, 1}), 1U);
  EXPECT_EQ(one.revents, POLLNVAL);
}

TEST_F(PollTest, PollSaysWhichAreReady) {
  Pipe empty;
  Pipe full;
  pollfd fds[] = {
      {empty.ends[0], POLLIN, 0}, {full.ends[0], POLLIN, 0}, {full.ends[1], POLLOUT, 0}};
  EXPECT_EQ(fern::poll(fds), 1U);
  EXPECT_EQ(fds[2].revents, POLLOUT);
  EXPECT_EQ(fern::poll(std::span(fds, 2), 1ms), 0U);
  auto waiter = fern::spawn([&] { return fern::poll(std::span(fds, 2)); });
  fern::sleep(1ms);
  full.write("x");
  EXPECT_EQ(waiter.get(), 1U);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLIN);
}

TEST_F(PollTest, PollOfNothingWaitsForTheDeadline) {
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(fern::poll({}, 2ms), 0U);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
}

TEST_F(PollTest, AKillEndsTheWait) {
  Pipe pipe;
  auto waiter = fern::spawn([&] { fern::wait_readable(pipe.ends[0]); });
  fern::sleep(1ms);
  EXPECT_TRUE(waiter.kill());
  EXPECT_TRUE(waiter.killed());
}

TEST_F(PollTest, ATimeoutScopeEndsTheWait) {
  Pipe pipe;
  fern::Timeout timeout(1ms);
  try {
    fern::wait_readable(pipe.ends[0]);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const fern::TimeoutError& error) {
    EXPECT_TRUE(timeout.owns(error));
  }
}

TEST_F(PollTest, ATimeoutScopeThatIsTakenBackDoesNot) {
  Pipe pipe;
  auto [ours, theirs] = fern::socketpair();
  fern::Timeout* scope = nullptr;
  auto wait_while_it_is_taken_back = [&](auto wait, auto wake) {
    scope = nullptr;
    auto waiter = fern::spawn([&] {
      fern::Timeout timeout(1ms);
      scope = &timeout;
      wait();
    });
    while (scope == nullptr || !scope->expired()) fern::yield();
    scope->cancel();  // it has been woken, and has not had its turn
    fern::yield();
    EXPECT_FALSE(waiter.ready());
    wake();
    EXPECT_NO_THROW(waiter.get());
  };
  wait_while_it_is_taken_back([&] { EXPECT_TRUE(fern::wait_readable(pipe.ends[0])); },
                              [&] { pipe.write("x"); });
  wait_while_it_is_taken_back([&] { EXPECT_EQ(ours.recv(10), "x"); }, [&] { theirs.sendall("x"); });
}

TEST_F(PollTest, TheHubsOwnStackMayNotWait) {
  Pipe pipe;
  bool refused = false;
  fern::Hub::current().post([&] {
    try {
      fern::wait_readable(pipe.ends[0]);
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
  });
  fern::sleep(1ms);
  EXPECT_TRUE(refused);
}

}  // namespace
