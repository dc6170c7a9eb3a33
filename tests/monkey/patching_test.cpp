// Patching and unpatching while calls are under way, and fairness among those that never wait.

#include "monkey/patched.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace monkey = fern::monkey;

namespace {

class MonkeyPatching : public MonkeyTest {};

constexpr int rounds = 1000;

// Bytes that go round between two greenlets, by sockets and polls, and sleeps beside them.
struct Traffic {
  // Asks for each byte, until `over`; counts those that came back right.
  void ask() {
    unsigned char sent = 0;
    while (!over) {
      ++sent;
      if (send(pair[0], &sent, 1, 0) != 1) return;
      pollfd ready{pair[0], POLLIN, 0};
      while (poll(&ready, 1, 1000) == 0) {
      }
      unsigned char got = 0;
      if (recv(pair[0], &got, 1, 0) != 1) return;
      if (got == sent) ++right;
      ++asked;
      usleep(1);
    }
    shutdown(pair[0], SHUT_WR);
  }
  void answer() {
    unsigned char byte;
    while (recv(pair[1], &byte, 1, 0) == 1) {
      if (send(pair[1], &byte, 1, 0) != 1) return;
    }
  }
  Pair pair;
  std::atomic<bool> over = false;
  long asked = 0;
  long right = 0;
};

// Lets one byte more come back to one of them.
void go_on(const std::vector<Traffic>& traffics) {
  auto asked = [&] {
    long all = 0;
    for (const Traffic& traffic : traffics) all += traffic.asked;
    return all;
  };
  long before = asked();
  while (asked() == before) fern::yield();
}

// Only what a native call cannot block for ever: a peer in this very thread would never answer it.
constexpr monkey::Part harmless = monkey::Part::Time;

TEST_F(MonkeyPatching, TrafficGoesOnWhilePartsAreUnpatchedAndPatchedAThousandTimes) {
  std::vector<Traffic> traffics(4);
  std::vector<fern::Greenlet<void>> greenlets;
  for (Traffic& traffic : traffics) {
    greenlets.push_back(fern::spawn([&traffic] { traffic.ask(); }));
    greenlets.push_back(fern::spawn([&traffic] { traffic.answer(); }));
  }
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      monkey::unpatch(harmless);
      monkey::patch(harmless);
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < rounds; ++round) {
    monkey::unpatch(harmless);
    fern::yield();
    monkey::patch(harmless);
    if (round % 20 == 0) go_on(traffics);
  }
  over = true;
  other.join();
  for (Traffic& traffic : traffics) traffic.over = true;
  fern::joinall(greenlets);
  for (Traffic& traffic : traffics) {
    EXPECT_GT(traffic.asked, 0);
    EXPECT_EQ(traffic.right, traffic.asked);
  }
}

TEST_F(MonkeyPatching, PeersInThreadsGoOnWhileEverythingIsUnpatchedAndPatchedAThousandTimes) {
  std::vector<Traffic> traffics(3);
  std::vector<fern::Greenlet<void>> greenlets;
  std::vector<std::thread> threads;
  for (Traffic& traffic : traffics) {
    // Unpatched, the greenlet blocks its thread until the answer comes: from another thread.
    threads.emplace_back([&traffic] { traffic.answer(); });
    greenlets.push_back(fern::spawn([&traffic] { traffic.ask(); }));
  }
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      monkey::unpatch();
      std::this_thread::yield();
      monkey::patch_all();
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < rounds; ++round) {
    monkey::unpatch(monkey::Part::Sockets);
    fern::yield();
    monkey::patch_all();
    if (round % 20 == 0) go_on(traffics);
  }
  over = true;
  other.join();
  monkey::patch_all();
  for (Traffic& traffic : traffics) traffic.over = true;
  fern::joinall(greenlets);
  for (std::thread& thread : threads) thread.join();
  for (Traffic& traffic : traffics) {
    EXPECT_GT(traffic.asked, 0);
    EXPECT_EQ(traffic.right, traffic.asked);
  }
}

TEST_F(MonkeyPatching, PatchingTwiceIsPatchingOnce) {
  monkey::patch_all();
  monkey::patch(monkey::Part::Sockets);
  EXPECT_TRUE(monkey::is_patched(monkey::all_parts));
  monkey::unpatch(monkey::Part::Sockets);
  EXPECT_FALSE(monkey::is_patched(monkey::Part::Sockets));
  EXPECT_TRUE(monkey::is_patched(monkey::Part::Time));
  monkey::unpatch();
  monkey::unpatch();
  EXPECT_FALSE(monkey::is_patched(monkey::Part::Time));
}

TEST_F(MonkeyPatching, WhatWasUsedBeforeIsGreenAfterwards) {
  monkey::unpatch();
  Pair pair;
  char byte;
  ASSERT_EQ(send(pair[1], "a", 1, 0), 1);
  ASSERT_EQ(recv(pair[0], &byte, 1, 0), 1);
  monkey::patch_all();
  auto receiver = fern::spawn([&] { return recv(pair[0], &byte, 1, 0); });
  fern::yield();
  ASSERT_EQ(send(pair[1], "b", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 1);
  EXPECT_EQ(byte, 'b');
}

TEST_F(MonkeyPatching, ACallThatIsUnderWayEndsAsItBegan) {
  Pair pair;
  char byte = 0;
  auto receiver = fern::spawn([&] { return recv(pair[0], &byte, 1, 0); });
  auto sleeper = fern::spawn([] { return usleep(1000); });
  fern::yield();
  monkey::unpatch();
  ASSERT_EQ(send(pair[1], "b", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 1);
  EXPECT_EQ(sleeper.get(), 0);
}

TEST_F(MonkeyPatching, HubsInTwoThreadsWaitInWrappedCallsAtOnce) {
  may_keep_heap("what a second hub makes the first one keep");
  auto work = [] {
    std::vector<Traffic> traffics(3);
    std::vector<fern::Greenlet<void>> greenlets;
    for (Traffic& traffic : traffics) {
      greenlets.push_back(fern::spawn([&traffic] { traffic.ask(); }));
      greenlets.push_back(fern::spawn([&traffic] { traffic.answer(); }));
    }
    for (Traffic& traffic : traffics) {
      while (traffic.asked < 200) usleep(100);
      traffic.over = true;
    }
    fern::joinall(greenlets);
    for (Traffic& traffic : traffics) EXPECT_EQ(traffic.right, traffic.asked);
  };
  std::thread other(work);
  work();
  other.join();
}

TEST_F(MonkeyPatching, GreenletsOfTwoHubsTalkToEachOther) {
  Traffic traffic;
  std::thread other([&] { fern::spawn([&] { traffic.answer(); }).join(); });
  auto asker = fern::spawn([&] { traffic.ask(); });
  while (traffic.asked < 200) usleep(100);
  traffic.over = true;
  asker.join();
  other.join();
  EXPECT_EQ(traffic.right, traffic.asked);
}

// ---- fairness

class MonkeyFairness : public MonkeyTest {
 protected:
  // Makes this call, which never has to wait, until another greenlet has had 100 turns, a timer has
  // fired, and what came to a descriptor of the hub has been read. None of them starves.
  void beside_others(const std::function<void()>& call) {
    int turns = 0;
    bool fired = false;
    bool received = false;
    Pair pair;
    auto other = fern::spawn([&] {
      for (; turns < 100; ++turns) fern::yield();
    });
    auto timer = fern::spawn([&] {
      fern::sleep(1ms);
      fired = true;
      EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
    });
    auto receiver = fern::spawn([&] {
      char byte;
      received = recv(pair[0], &byte, 1, 0) == 1;
    });
    // The watchdog ends what would go on for ever.
    long calls = 0;
    while (turns < 100 || !fired || !received) {
      call();
      ++calls;
    }
    EXPECT_GT(calls, 0);
    other.join();
    timer.join();
    receiver.join();
  }
};

TEST_F(MonkeyFairness, ReceivingWhatIsThereStarvesNobody) {
  Pair pair;
  ASSERT_EQ(send(pair[1], "x", 1, 0), 1);
  char byte;
  beside_others([&] { EXPECT_EQ(recv(pair[0], &byte, 1, MSG_PEEK), 1); });
}

TEST_F(MonkeyFairness, ReceivingWithoutWaitingStarvesNobody) {
  Pair pair;
  char byte;
  beside_others([&] { EXPECT_EQ(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1); });
}

TEST_F(MonkeyFairness, SendingStarvesNobody) {
  Pair pair;
  char byte;
  beside_others([&] {
    EXPECT_EQ(send(pair[0], "x", 1, 0), 1);
    EXPECT_EQ(recv(pair[1], &byte, 1, 0), 1);
  });
}

TEST_F(MonkeyFairness, WritingToAPipeThatIsReadStarvesNobody) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  char byte;
  beside_others([&] {
    EXPECT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
  });
  close(ends[0]);
  close(ends[1]);
}

TEST_F(MonkeyFairness, PollingWithNoTimeStarvesNobody) {
  Pair pair;
  pollfd one{pair[0], POLLIN, 0};
  beside_others([&] { EXPECT_EQ(poll(&one, 1, 0), 0); });
}

TEST_F(MonkeyFairness, PollingWhatIsReadyStarvesNobody) {
  Pair pair;
  pollfd one{pair[0], POLLOUT, 0};
  beside_others([&] { EXPECT_EQ(poll(&one, 1, -1), 1); });
}

TEST_F(MonkeyFairness, SelectingWithNoTimeStarvesNobody) {
  beside_others([] {
    timeval none{};
    EXPECT_EQ(select(0, nullptr, nullptr, nullptr, &none), 0);
  });
}

TEST_F(MonkeyFairness, AskingEpollStarvesNobody) {
  Pair pair;
  int set = epoll_create1(0);
  epoll_event event{EPOLLIN, {}};
  epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event);
  beside_others([&] { EXPECT_EQ(epoll_wait(set, &event, 1, 0), 0); });
  ASSERT_EQ(send(pair[1], "x", 1, 0), 1);
  beside_others([&] { EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1); });
  close(set);
}

TEST_F(MonkeyFairness, ConnectingAndAcceptingWithoutWaitingStarvesNobody) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  beside_others([&] { EXPECT_EQ(accept(listener, nullptr, nullptr), -1); });
  close(listener);
}

TEST_F(MonkeyFairness, SleepingForNothingStarvesNobody) {
  beside_others([] { EXPECT_EQ(usleep(0), 0); });
}

TEST_F(MonkeyFairness, ReadyCallsGiveWayAtLeastEverySixteenth) {
  Pair pair;
  ASSERT_EQ(send(pair[1], "x", 1, 0), 1);
  int turns = 0;
  bool over = false;
  auto other = fern::spawn([&] {
    while (!over) {
      ++turns;
      fern::yield();
    }
  });
  char byte;
  for (int call = 0; call < 1600; ++call) recv(pair[0], &byte, 1, MSG_PEEK);
  EXPECT_GE(turns, 99);
  over = true;
  other.join();
}

}  // namespace
