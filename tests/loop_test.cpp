// What a loop tells of its watches.

#include "core/loop.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <limits>

#include "base/clock.hpp"
#include "children.hpp"
#include "support.hpp"

using fern::core::Loop;
using fern::core::Watch;

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t many = 1100;

class LoopTest : public fern::testing::FernTest {
 protected:
  // A watched descriptor that is ready to be read from the first, and what was told of it.
  struct Watched : Watch {
    Watched(Loop& loop, int descriptor) : loop(loop) { fd = descriptor; }
    explicit Watched(Loop& loop) : Watched(loop, ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    ~Watched() {
      end();
      ::close(fd);
    }
    int arm(unsigned readiness) {
      if (watched()) return loop.arm(*this, readiness);
      return loop.watch(*this, fd, readiness, [](Watch& self, unsigned ready) noexcept {
        static_cast<Watched&>(self).told(ready);
      });
    }
    void told(unsigned readiness) {
      ++times;
      last = readiness;
      if (on_told) on_told();
    }
    void end() {
      if (watched()) loop.unwatch(*this);
    }
    Loop& loop;
    std::size_t times = 0;
    unsigned last = 0;
    std::function<void()> on_told;
  };

  LoopTest() {
    ::getrlimit(RLIMIT_NOFILE, &limit_);
    rlimit more{std::max<rlim_t>(limit_.rlim_cur, std::min<rlim_t>(limit_.rlim_max, many + 100)),
                limit_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &more);
  }
  ~LoopTest() override { ::setrlimit(RLIMIT_NOFILE, &limit_); }

  static void fill(Loop& loop, std::deque<Watched>& all, std::size_t count = many) {
    while (all.size() < count) all.emplace_back(loop);
  }
  static std::size_t times(const std::deque<Watched>& all) {
    std::size_t sum = 0;
    for (const Watched& each : all) sum += each.times;
    return sum;
  }
  static void arm(std::deque<Watched>& all) {
    for (Watched& each : all) ASSERT_EQ(each.arm(fern::core::readable), 0);
  }

 private:
  rlimit limit_{};
};

TEST_F(LoopTest, APollTellsEachWatchOnceHoweverManyAreReady) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all, 2 * many);
  arm(all);
  loop.poll(false, never);
  EXPECT_TRUE(std::ranges::all_of(all, [](const Watched& each) { return each.times == 1; }));
}

TEST_F(LoopTest, APollThatBlocksEndsWithTheLastOfManyWatches) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  all.back().arm(fern::core::readable);
  loop.poll(true, never);
  EXPECT_EQ(all.back().last, fern::core::readable);
}

TEST_F(LoopTest, AWatchIsToldAgainUntilItIsDisarmed) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  for (Watched* each : {&all.front(), &all.back()}) {
    each->arm(fern::core::readable);
    loop.poll(false, never);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 2);
    each->arm(0);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 2);
    each->arm(fern::core::readable | fern::core::writable);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 3);
    EXPECT_EQ(each->last, fern::core::readable | fern::core::writable);
    each->arm(0);
  }
}

TEST_F(LoopTest, AWatchMayEndWhileAnotherIsTold) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  Watched first(loop);
  Watched second(loop);
  first.on_told = [&] { second.end(); };
  second.on_told = [&] { first.end(); };
  first.arm(fern::core::readable);
  second.arm(fern::core::readable);
  loop.poll(false, never);
  EXPECT_EQ(first.times + second.times, 1);
}

TEST_F(LoopTest, ADescriptorThatIsClosedCannotBeArmed) {
  Loop loop;
  Watched closed(loop);
  ::close(closed.fd);
  EXPECT_EQ(closed.arm(fern::core::readable), EBADF);
  EXPECT_FALSE(closed.watched());
  closed.fd = ::eventfd(1, EFD_CLOEXEC);
  EXPECT_EQ(closed.arm(fern::core::readable), 0);
  ::close(closed.fd);
  EXPECT_EQ(closed.arm(fern::core::writable), EBADF);
  closed.end();
  closed.fd = ::eventfd(1, EFD_CLOEXEC);
}

TEST_F(LoopTest, WhatOthersHaveClosedWhileADuplicateLivesEndsNoPollOnceItIsDisarmed) {
  Loop loop;
  for (bool others_get_the_number : {false, true}) {
    Watched ghost(loop);
    int duplicate = ::dup(ghost.fd);
    ghost.arm(fern::core::readable);
    ::close(ghost.fd);
    if (others_get_the_number) {
      EXPECT_EQ(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ghost.fd);
    }
    loop.poll(true, never);
    EXPECT_EQ(ghost.times, 1);  // nobody can have told us
    ghost.arm(0);
    loop.poll(false, never);
    EXPECT_EQ(ghost.times, 1);
    auto until = fern::base::now_ns() + 1'000'000;
    loop.poll(true, until);
    EXPECT_GE(fern::base::now_ns(), until);
    ghost.end();
    ::close(duplicate);
    if (!others_get_the_number) ghost.fd = ::eventfd(0, EFD_CLOEXEC);
  }
}

TEST_F(LoopTest, AGhostIsToldApartFromWhatIsWatchedUnderItsNumber) {
  Loop loop;
  Watched ghost(loop);
  int duplicate = ::dup(ghost.fd);
  ghost.arm(fern::core::readable);
  ::close(ghost.fd);
  ghost.end();
  Watched other(loop, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  EXPECT_EQ(other.fd, ghost.fd);
  other.arm(fern::core::readable);
  loop.poll(false, never);
  auto until = fern::base::now_ns() + 1'000'000;
  loop.poll(true, until);
  EXPECT_GE(fern::base::now_ns(), until);
  EXPECT_EQ(other.times, 0);
  eventfd_write(other.fd, 1);
  loop.poll(true, never);
  EXPECT_EQ(other.times, 1);
  ::close(duplicate);
  ghost.fd = -1;
}

TEST_F(LoopTest, AGhostIsToldApartFromWhatHasItsNumberAndItsWatch) {
  Loop loop;
  Watched watch(loop);
  int duplicate = ::dup(watch.fd);
  watch.arm(fern::core::readable);
  ::close(watch.fd);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  ASSERT_EQ(ends[0], watch.fd);
  EXPECT_EQ(watch.arm(fern::core::readable | fern::core::writable), 0);
  watch.arm(fern::core::readable);
  loop.poll(false, never);
  auto until = fern::base::now_ns() + 1'000'000;
  loop.poll(true, until);
  EXPECT_GE(fern::base::now_ns(), until);
  EXPECT_EQ(watch.times, 0);
  ::close(ends[1]);
  ::close(duplicate);
}

TEST_F(LoopTest, AWatchThatOthersHaveClosedMakesWayForTheNextWithItsNumber) {
  Loop loop;
  Watched stale(loop);
  stale.arm(fern::core::readable);
  ::close(stale.fd);
  Watched fresh(loop);
  ASSERT_EQ(fresh.fd, stale.fd);
  EXPECT_EQ(fresh.arm(fern::core::readable), 0);
  EXPECT_NE(stale.last & fern::core::errored, 0U);
  EXPECT_FALSE(stale.watched());
  stale.end();
  stale.fd = -1;
  loop.poll(true, never);
  EXPECT_EQ(fresh.times, 1);
}

TEST_F(LoopTest, AReaderIsToldOfAPipeWithoutWriter) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Watched reader(loop, ends[0]);
  reader.arm(fern::core::readable);
  ::close(ends[1]);
  loop.poll(true, never);
  EXPECT_EQ(reader.last, fern::core::readable);
}

TEST_F(LoopTest, AWriterIsToldOfAPipeWithoutReaderAsAnErrorOnce) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Watched writer(loop, ends[1]);
  writer.arm(fern::core::writable);
  ::close(ends[0]);
  loop.poll(true, never);
  loop.poll(false, never);
  EXPECT_EQ(writer.times, 1);
  EXPECT_NE(writer.last & fern::core::errored, 0U);
}

TEST_F(LoopTest, AllWatchesMayEndWhileTheLastOfThemIsTold) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  for (Watched* each : {&all[many - 2], &all[many - 1]}) {
    each->on_told = [&] {
      for (Watched& other : all) other.end();
    };
    each->arm(fern::core::readable);
  }
  loop.poll(true, never);
  loop.poll(false, never);
  EXPECT_EQ(times(all), 1);
}

TEST_F(LoopTest, WhatIsAlwaysReadyCannotBeWatched) {
  Loop loop;
  Watched file(loop, ::memfd_create("always ready", MFD_CLOEXEC));
  EXPECT_EQ(file.arm(fern::core::readable), EPERM);
  EXPECT_FALSE(file.watched());
}

TEST_F(LoopTest, WatchesGoOnInBothProcessesAfterAFork) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  arm(all);
  loop.poll(false, never);
  EXPECT_EQ(times(all), many);
  EXPECT_EQ(fern::testing::in_child([&] {
              loop.forked();
              loop.poll(false, never);
              return times(all) == 2 * many ? 0 : 1;
            }),
            0);
  loop.poll(false, never);
  EXPECT_EQ(times(all), 2 * many);
}

TEST_F(LoopTest, ALoopEndsWithWatchesLeft) {
  std::deque<Watched> all;
  {
    Loop loop;
    fill(loop, all);
    arm(all);
    loop.poll(false, never);
    for (Watched& each : all) each.ready = nullptr;
  }
  all.clear();
}

}  // namespace
