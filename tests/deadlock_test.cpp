// Waits that can never end. A LoopExit that nobody catches: fail/deadlock.cpp.
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "support.hpp"

using namespace std::chrono_literals;

namespace {

class Deadlock : public FernTest {
 protected:
  // Runs `stuck`, which waits for the event and cannot be thrown at, beside a thread whose LoopExit
  // leads it to set the event. Gives what is said.
  std::string said_beside_a_thread(const std::function<void(fern::Event&)>& stuck) {
    may_keep_heap("hubs are kept");
    fern::Event event;
    ::testing::internal::CaptureStderr();
    std::thread other([&] {
      fern::Event never;
      EXPECT_THROW(never.wait(), fern::LoopExit);
      event.set();
    });
    stuck(event);
    other.join();
    return ::testing::internal::GetCapturedStderr();
  }
};

}  // namespace

TEST_F(Deadlock, IsThrownInMainWhichSeesWhoWaitsOnWhatAndMayGoOn) {
  fern::Event event;
  auto waiter = fern::spawn(fern::SpawnOptions{.name = "waiter"}, [&] { event.wait(); });
  std::string what;
  try {
    waiter.join();
  } catch (const fern::LoopExit& error) {
    what = error.what();
  }
  EXPECT_NE(what.find("main (id 0): waits in join()"), std::string::npos) << what;
  EXPECT_NE(what.find("waiter (id"), std::string::npos) << what;
  EXPECT_NE(what.find("waits in Event::wait()"), std::string::npos) << what;
  EXPECT_FALSE(waiter.ready());
  event.set();
  EXPECT_TRUE(waiter.join());
  event.clear();
  EXPECT_THROW(event.wait(), fern::LoopExit);
}

TEST_F(Deadlock, OfAShieldedMainIsSaidOnceAndItsWaitGoesOn) {
  auto said = said_beside_a_thread([](fern::Event& event) {
    {
      fern::ShieldKill shield;
      EXPECT_TRUE(event.wait());
    }
    // The deadlock is over: nothing is left of it.
    fern::yield();
    fern::sleep(1ms);
  });
  EXPECT_EQ(count_of(said, "would block forever"), 1u) << said;
  EXPECT_EQ(count_of(said, "main (id 0): waits in Event::wait(), shielded"), 1u) << said;
}

TEST_F(Deadlock, OfAMainThatUnwindsIsSaidOnceAndItsWaitGoesOn) {
  auto said = said_beside_a_thread([](fern::Event& event) {
    try {
      OnExit waits{[&] { EXPECT_TRUE(event.wait()); }};
      throw std::runtime_error("unwinds");
    } catch (const std::runtime_error&) {
    }
    fern::sleep(1ms);
  });
  EXPECT_EQ(count_of(said, "would block forever"), 1u) << said;
}

TEST_F(Deadlock, AfterAShieldTheNextWaitThatCannotEndThrows) {
  auto said = said_beside_a_thread([](fern::Event& event) {
    fern::ShieldKill shield;
    EXPECT_TRUE(event.wait());
  });
  EXPECT_NE(said, "");
  ::testing::internal::CaptureStderr();
  fern::Event never;
  EXPECT_THROW(never.wait(), fern::LoopExit);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}
