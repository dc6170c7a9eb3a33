// What a loop tells of its watches, few or more than libuv takes at a time.

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

#include "children.hpp"
#include "support.hpp"

using fern::core::Loop;

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t many = 1100;  // more than libuv is given

class LoopTest : public fern::testing::FernTest {
 protected:
  // A watched descriptor that is ready to be read from the first, and what was told of it.
  struct Watched {
    Watched(Loop& loop, int descriptor) : loop(loop), fd(descriptor) {
      watch = loop.watch(fd, this, [](void* self, unsigned readiness) noexcept {
        static_cast<Watched*>(self)->told(readiness);
      });
    }
    explicit Watched(Loop& loop) : Watched(loop, ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    ~Watched() {
      end();
      ::close(fd);
    }
    void told(unsigned readiness) {
      ++times;
      last = readiness;
      if (on_told) on_told();
    }
    void end() {
      if (watch != nullptr) loop.unwatch(*std::exchange(watch, nullptr));
    }
    Loop& loop;
    int fd;
    Loop::Watch* watch = nullptr;
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
    while (all.size() < count) {
      ASSERT_NE(all.emplace_back(loop).watch, nullptr);
    }
  }
  static std::size_t times(const std::deque<Watched>& all) {
    std::size_t sum = 0;
    for (const Watched& each : all) sum += each.times;
    return sum;
  }
  static void arm(Loop& loop, std::deque<Watched>& all) {
    for (Watched& each : all) loop.arm(*each.watch, fern::core::readable);
  }

 private:
  rlimit limit_{};
};

TEST_F(LoopTest, APollTellsEachWatchOnceHoweverManyAreReady) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all, 2 * many);
  arm(loop, all);
  loop.poll(false, never);
  EXPECT_TRUE(std::ranges::all_of(all, [](const Watched& each) { return each.times == 1; }));
}

TEST_F(LoopTest, APollThatBlocksEndsWithTheLastOfManyWatches) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  loop.arm(*all.back().watch, fern::core::readable);
  loop.poll(true, never);
  EXPECT_EQ(all.back().last, fern::core::readable);
}

TEST_F(LoopTest, AWatchIsToldAgainUntilItIsDisarmed) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  for (Watched* each : {&all.front(), &all.back()}) {
    loop.arm(*each->watch, fern::core::readable);
    loop.poll(false, never);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 2);
    loop.arm(*each->watch, 0);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 2);
    loop.arm(*each->watch, fern::core::readable | fern::core::writable);
    loop.poll(false, never);
    EXPECT_EQ(each->times, 3);
    EXPECT_EQ(each->last, fern::core::readable | fern::core::writable);
    loop.arm(*each->watch, 0);
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
  loop.arm(*first.watch, fern::core::readable);
  loop.arm(*second.watch, fern::core::readable);
  loop.poll(false, never);
  EXPECT_EQ(first.times + second.times, 1);
}

TEST_F(LoopTest, AWatchWhoseDescriptorOthersHaveClosedIsToldOfAnError) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  for (Watched* each : {&all.front(), &all.back()}) {
    loop.arm(*each->watch, fern::core::readable);
    ::close(each->fd);
    loop.poll(true, never);
    EXPECT_EQ(each->times, 1);
    EXPECT_NE(each->last & fern::core::errored, 0U);
    each->end();
    each->fd = ::eventfd(0, EFD_CLOEXEC);
  }
}

TEST_F(LoopTest, AReaderIsToldOfAPipeWithoutWriter) {
  Loop loop;
  std::deque<Watched> all;
  for (std::size_t others : {std::size_t{0}, many}) {
    fill(loop, all, others);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    Watched reader(loop, ends[0]);
    loop.arm(*reader.watch, fern::core::readable);
    ::close(ends[1]);
    loop.poll(true, never);
    EXPECT_EQ(reader.last, fern::core::readable);
  }
}

TEST_F(LoopTest, AWriterIsToldOfAPipeWithoutReaderAsAnErrorOnce) {
  Loop loop;
  std::deque<Watched> all;
  for (std::size_t others : {std::size_t{0}, many}) {
    fill(loop, all, others);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    Watched writer(loop, ends[1]);
    loop.arm(*writer.watch, fern::core::writable);
    ::close(ends[0]);
    loop.poll(true, never);
    loop.poll(false, never);
    EXPECT_EQ(writer.times, 1);
    EXPECT_NE(writer.last & fern::core::errored, 0U);
  }
}

TEST_F(LoopTest, AllWatchesMayEndWhileTheLastOfThemIsTold) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  for (Watched* each : {&all[many - 2], &all[many - 1]}) {
    each->on_told = [&] {
      for (Watched& other : all) other.end();
    };
    loop.arm(*each->watch, fern::core::readable);
  }
  loop.poll(true, never);
  loop.poll(false, never);
  EXPECT_EQ(times(all), 1);
}

TEST_F(LoopTest, WhatIsAlwaysReadyCannotBeWatched) {
  Loop loop;
  std::deque<Watched> all;
  for (std::size_t others : {std::size_t{0}, many}) {
    fill(loop, all, others);
    Watched file(loop, ::memfd_create("always ready", MFD_CLOEXEC));
    EXPECT_EQ(file.watch, nullptr);
    EXPECT_EQ(errno, EPERM);
  }
}

TEST_F(LoopTest, WatchesGoOnInBothProcessesAfterAFork) {
  Loop loop;
  std::deque<Watched> all;
  fill(loop, all);
  arm(loop, all);
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
    arm(loop, all);
    loop.poll(false, never);
    for (Watched& each : all) each.watch = nullptr;
  }
  all.clear();
}

}  // namespace
