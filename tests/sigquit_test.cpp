#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "children.hpp"
#include "fern/debug.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/signal.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;

// In a thread of its own, whose end undoes it.
class SigquitTest : public FernTest {
 protected:
  SigquitTest() { may_keep_heap("hubs are kept for later threads"); }

  // What is printed while f runs in a thread.
  template <class F>
  static std::string printed(F&& f) {
    ::testing::internal::CaptureStderr();
    fern::testing::in_thread(f);
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(SigquitTest, PrintsWhatEveryGreenletDoesAndTheProgramGoesOn) {
  std::string text = printed([] {
    fern::debug::on_sigquit();
    fern::debug::on_sigquit();  // once is enough
    fern::Event arrived;
    auto handler = fern::on_signal(SIGQUIT, [&] { arrived.set(); });
    auto sleeper = fern::spawn(fern::SpawnOptions{.name = "sleeper"}, [] { fern::sleep(1h); });
    fern::yield();
    ::raise(SIGQUIT);
    EXPECT_TRUE(arrived.wait(20s));
    sleeper.kill();
  });
  EXPECT_TRUE(says(text, "1 greenlet(s)")) << text;
  EXPECT_TRUE(says(text, "main (id 0): waits in Event::wait()")) << text;
  EXPECT_TRUE(says(text, "sleeper (id")) << text;
  EXPECT_EQ(text.find("sleeper"), text.rfind("sleeper")) << text;
}

TEST_F(SigquitTest, TheDispositionIsTheDefaultAgainWhenTheThreadHasEnded) {
  fern::testing::in_thread([] {
    fern::debug::on_sigquit();
    struct sigaction now;
    ASSERT_EQ(::sigaction(SIGQUIT, nullptr, &now), 0);
    EXPECT_NE(now.sa_handler, SIG_DFL);
  });
  struct sigaction now;
  ASSERT_EQ(::sigaction(SIGQUIT, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

// Asking is no reason to wait for.
TEST_F(SigquitTest, DoesNotHoldBackALoopExit) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([] {
    fern::debug::on_sigquit();
    fern::Event never;
    try {
      never.wait();
    } catch (const fern::LoopExit&) {
      return 0;
    }
    return 1;
  })));
}

// As Ctrl-\\ in a terminal would reach it: from outside, while nothing is ready.
TEST_F(SigquitTest, AProgramThatIsIdleAnswers) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::alarm(50);
    ::close(ends[0]);
    ::dup2(ends[1], 2);
    ::close(ends[1]);
    fern::debug::on_sigquit();
    fern::Event stop;
    auto waiter = fern::spawn(fern::SpawnOptions{.name = "idler"}, [&] { stop.wait(); });
    fern::yield();
    [[maybe_unused]] auto said = ::write(2, "ready\n", 6);
    fern::sleep(1h);
    fern::testing::end_child(1);
  }
  ::close(ends[1]);
  std::string text;
  auto read_until = [&](const std::string& part) {
    char some[512];
    while (!says(text, part)) {
      ssize_t got = ::read(ends[0], some, sizeof some);
      if (got <= 0) break;
      text.append(some, static_cast<std::size_t>(got));
    }
  };
  read_until("ready\n");
  for (int round = 0; round < 2; ++round) {
    text.clear();
    EXPECT_EQ(::kill(child, SIGQUIT), 0);
    read_until("idler (id");
    EXPECT_TRUE(says(text, "main (id 0): waits in sleep()")) << text;
  }
  EXPECT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  ::close(ends[0]);
}

}  // namespace
