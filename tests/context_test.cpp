// What a switch keeps and what it leaves alone.
#include <cxxabi.h>
#include <execinfo.h>
#include <unwind.h>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <array>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/context.hpp"
#include "core/hub.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

using ContextTest = FernTest;

// Lets two bodies take turns, one switch at a time, until both have ended.
void interleave(const std::function<void()>& a, const std::function<void()>& b) {
  for (auto& greenlet : fern::joinall({fern::spawn(a), fern::spawn(b)})) greenlet.get();
}

std::string handled() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

// --- exceptions -------------------------------------------------------------------------------

TEST_F(ContextTest, GreenletsThatSwitchInsideACatchRethrowEachItsOwn) {
  std::string log;
  auto body = [&](const std::string& mine) {
    return [&log, mine] {
      for (int i = 0; i < 3; ++i) {
        try {
          try {
            throw std::runtime_error(mine);
          } catch (const std::runtime_error&) {
            fern::yield();
            throw;
          }
        } catch (const std::runtime_error& error) {
          fern::yield();
          EXPECT_EQ(error.what(), mine);
          EXPECT_EQ(handled(), mine);
          log += mine;
        }
      }
    };
  };
  interleave(body("a"), body("b"));
  EXPECT_EQ(log, "ababab");
}

TEST_F(ContextTest, NestedHandlersComeBackInTheirOrder) {
  auto body = [](const std::string& mine) {
    return [mine] {
      try {
        throw std::runtime_error(mine + "-outer");
      } catch (const std::runtime_error&) {
        fern::yield();
        try {
          throw std::out_of_range(mine + "-inner");
        } catch (const std::out_of_range&) {
          fern::yield();
          EXPECT_EQ(handled(), mine + "-inner");
        }
        fern::yield();
        EXPECT_EQ(handled(), mine + "-outer");
      }
      fern::yield();
      EXPECT_EQ(std::current_exception(), nullptr);
    };
  };
  interleave(body("a"), body("b"));
}

TEST_F(ContextTest, AnExceptionMayBeHandledInTwoGreenletsAtOnce) {
  std::exception_ptr shared;
  interleave(
      [&] {
        try {
          throw std::runtime_error("shared");
        } catch (...) {
          shared = std::current_exception();
          fern::yield();
          fern::yield();
          EXPECT_EQ(handled(), "shared");
        }
      },
      [&] {
        try {
          std::rethrow_exception(shared);
        } catch (const std::runtime_error& error) {
          shared = nullptr;
          fern::yield();
          EXPECT_STREQ(error.what(), "shared");
        }
      });
}

TEST_F(ContextTest, EachGreenletCountsItsOwnUncaughtExceptions) {
  interleave(
      [] {
        try {
          OnExit waits{[] {
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            fern::yield();
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            try {
              OnExit deeper{[] {
                fern::yield();
                EXPECT_EQ(std::uncaught_exceptions(), 2);
              }};
              throw std::out_of_range("while it unwinds");
            } catch (const std::out_of_range&) {
              EXPECT_EQ(std::uncaught_exceptions(), 1);
            }
          }};
          throw std::runtime_error("unwinds");
        } catch (const std::runtime_error& error) {
          EXPECT_STREQ(error.what(), "unwinds");
        }
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      },
      [] {
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        try {
          throw std::runtime_error("whole");
        } catch (const std::runtime_error&) {
          EXPECT_EQ(std::uncaught_exceptions(), 0);
          fern::yield();
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
      });
}

TEST_F(ContextTest, AGreenletThatEndsInsideAnothersCatchLeavesThatAlone) {
  try {
    throw std::runtime_error("ours");
  } catch (const std::runtime_error&) {
    auto failing = fern::spawn([] { throw std::out_of_range("theirs"); });
    EXPECT_THROW(failing.get(), std::out_of_range);
    EXPECT_EQ(handled(), "ours");
  }
  EXPECT_EQ(std::current_exception(), nullptr);
}

// --- registers --------------------------------------------------------------------------------

TEST_F(ContextTest, WhatStandsInRegistersSurvives) {
  std::vector<fern::Greenlet<double>> all;
  for (std::uint64_t seed : {1, 2, 3}) {
    all.push_back(fern::spawn([seed] {
      std::array<std::uint64_t, 6> whole{};
      std::array<double, 6> real{};
      for (int round = 0; round < 100; ++round) {
        for (std::size_t i = 0; i < whole.size(); ++i) {
          whole[i] = whole[i] * 6364136223846793005U + seed + i;
          real[i] += static_cast<double>(seed * (i + 1));
        }
        fern::yield();
      }
      double sum = 0;
      for (double each : real) sum += each;
      return sum;
    }));
  }
  EXPECT_EQ(all[0].get(), 2100.0);
  EXPECT_EQ(all[1].get(), 4200.0);
  EXPECT_EQ(all[2].get(), 6300.0);
}

#if defined(__x86_64__)
namespace {

std::uint32_t mxcsr() {
  std::uint32_t word;
  asm volatile("stmxcsr %0" : "=m"(word));
  return word;
}

std::uint16_t x87_control() {
  std::uint16_t word;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}

}  // namespace

TEST_F(ContextTest, EachGreenletKeepsItsRoundingMode) {
  const int before = std::fegetround();
  auto body = [](int mode) {
    return [mode] {
      std::fesetround(mode);
      std::uint32_t sse = mxcsr();
      std::uint16_t x87 = x87_control();
      for (int i = 0; i < 3; ++i) {
        fern::yield();
        EXPECT_EQ(std::fegetround(), mode);
        EXPECT_EQ(mxcsr(), sse);
        EXPECT_EQ(x87_control(), x87);
      }
    };
  };
  interleave(body(FE_UPWARD), body(FE_TOWARDZERO));
  EXPECT_EQ(std::fegetround(), before);
}

TEST_F(ContextTest, AGreenletBeginsWithItsSpawnersRoundingMode) {
  const int before = std::fegetround();
  std::fesetround(FE_DOWNWARD);
  auto child = fern::spawn([] { return std::fegetround(); });
  std::fesetround(before);
  EXPECT_EQ(child.get(), FE_DOWNWARD);
  EXPECT_EQ(std::fegetround(), before);
}

TEST_F(ContextTest, TheStickyExceptionFlagsAreSetEverywhere) {
  // Stacks that differ in them make a switch several times as dear on some processors.
  if (fern::testing::under_valgrind()) GTEST_SKIP() << "valgrind has no such flags";
  EXPECT_EQ(mxcsr() & 0x3f, 0x3fu);
  EXPECT_EQ(fern::spawn([] { return mxcsr() & 0x3f; }).get(), 0x3fu);
}
#endif

// --- what belongs to the thread ---------------------------------------------------------------

TEST_F(ContextTest, ErrnoAndThreadLocalsBelongToTheThread) {
  static thread_local int shared = 0;
  auto other = fern::spawn([] {
    EXPECT_EQ(errno, EDOM);
    EXPECT_EQ(shared, 1);
    shared = 2;
    errno = ERANGE;
  });
  shared = 1;
  errno = EDOM;
  fern::yield();
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(shared, 2);
}

// --- stacks -----------------------------------------------------------------------------------

namespace {

// At a call the stack is aligned to 16 bytes, so that is where a frame begins.
__attribute__((noinline)) std::uintptr_t frame() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

struct Walk {
  int frames = 0;
  bool whole = false;  // it came to an end by itself
};

__attribute__((noinline)) Walk walk() {
  Walk walk;
  auto step = [](_Unwind_Context*, void* count) {
    return ++*static_cast<int*>(count) < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
  };
  walk.whole = _Unwind_Backtrace(step, &walk.frames) == _URC_END_OF_STACK;
  return walk;
}

}  // namespace

TEST_F(ContextTest, StacksAreAlignedAsTheAbiAsks) {
  struct alignas(64) Aligned {
    char data[64];
  };
  for (std::size_t size : {std::size_t{0}, std::size_t{16 * 1024}, std::size_t{100'000}}) {
    may_keep_heap("pools of such stacks");
    std::vector<fern::AnyGreenlet> all;
    for (int i = 0; i < 20; ++i) {
      all.push_back(fern::spawn(fern::SpawnOptions{.stack_size = size}, [] {
        Aligned aligned;
        volatile auto where = reinterpret_cast<std::uintptr_t>(&aligned);
        EXPECT_EQ(where % 64, 0u);
        EXPECT_EQ(frame() % 16, 0u);
        fern::yield();
        EXPECT_EQ(frame() % 16, 0u);
      }));
    }
    for (auto& greenlet : fern::joinall(all)) greenlet.get();
  }
}

TEST_F(ContextTest, ABacktraceEndsWhereTheStackBegins) {
  auto greenlet = fern::spawn([] {
    Walk before = walk();
    fern::yield();
    Walk after = walk();
    EXPECT_TRUE(before.whole && after.whole);
    EXPECT_GT(before.frames, 1);
    EXPECT_LT(before.frames, 50);
    EXPECT_EQ(before.frames, after.frames);
  });
  greenlet.get();
}

TEST_F(ContextTest, AParkedStackIsWalkedToItsBeginningAndGoesOnAsIfNothingWas) {
  auto parked = fern::spawn([] {
    try {
      throw std::runtime_error("parked");
    } catch (const std::runtime_error&) {
      fern::yield();
      EXPECT_EQ(handled(), "parked");
    }
  });
  fern::yield();
  fern::core::Hub& hub = fern::core::Hub::current();
  fern::core::Greenlet& self = hub.running();
  fern::core::Greenlet& other = *fern::detail::Access::block(parked);
  void* frames[100];
  for (int i = 0; i < 3; ++i) {
    int count = fern::core::context_backtrace(self.context, self.tools, other.context, other.tools,
                                              hub.live_eh(), frames, 100);
    EXPECT_GT(count, 1);
    EXPECT_LT(count, 50);
  }
  parked.get();
}
