#include "support.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <new>
#include <string_view>
#include <thread>

#include "fern/debug.hpp"
#include "fern/greenlet.hpp"
#include "fern/selector.hpp"

namespace {

// Blocks from operator new that are alive. A sanitizer has its own operator new, and its own
// check: there this stays 0.
std::atomic<std::int64_t> live_blocks{0};
std::atomic<std::int64_t> made_blocks{0};

}  // namespace

#ifdef FERN_TESTS_COUNT_HEAP

namespace {

void* counted(void* block) {
  if (block == nullptr) {
    throw std::bad_alloc();
  }
  live_blocks.fetch_add(1, std::memory_order_relaxed);
  made_blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void release(void* block) noexcept {
  if (block != nullptr) {
    live_blocks.fetch_sub(1, std::memory_order_relaxed);
    std::free(block);
  }
}

}  // namespace

// The array and nothrow forms of the standard library call these.
void* operator new(std::size_t size) { return counted(std::malloc(size == 0 ? 1 : size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }

#endif

namespace fern::testing {

namespace {

// How long one test may take, in seconds, before it is taken for stuck.
constexpr int watchdog_seconds = 50;

// The test that runs, for the watchdog: a signal handler may not ask GoogleTest.
char current_test[256];

void say(std::string_view text) {
  // Nothing is left to do about a failing stderr.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

extern "C" void on_watchdog(int) {
  say("\nwatchdog: this test is stuck: ");
  say({current_test, std::strlen(current_test)});
  say("\n");
  void* frames[64];
  ::backtrace_symbols_fd(frames, ::backtrace(frames, 64), STDERR_FILENO);
  // No place for this much code, but nothing is left to lose: if it hangs, the next alarm ends us.
  std::signal(SIGALRM, SIG_DFL);
  ::alarm(10);
  fern::dump(std::cerr);
  std::abort();
}

int watchdog_limit() {
  const char* factor = std::getenv("FERN_TESTS_PATIENCE");
  return watchdog_seconds * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

std::map<int, std::string> open_fds() {
  std::map<int, std::string> fds;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    std::string target = std::filesystem::read_symlink(entry.path(), gone);
    // The one that reads this very directory.
    if (!gone && !target.ends_with("/fd")) {
      fds.emplace(std::stoi(entry.path().filename()), std::move(target));
    }
  }
  return fds;
}

void wait_for_nothing() {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  fern::wait_readable(ends[0], std::chrono::nanoseconds(1));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace

std::int64_t heap_allocations() { return made_blocks.load(); }

bool under_valgrind() { return RUNNING_ON_VALGRIND != 0; }

void wait_forever() { fern::sleep(fern::Deadline::never()); }

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

bool says(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

namespace {

// What is open that was not before. A thread at work for somebody who has given up waiting may be
// just about to close its own, and gets a second for that.
std::map<int, std::string> left_behind(const std::map<int, std::string>& before) {
  std::map<int, std::string> left;
  for (int tries = 0; tries < 200; ++tries) {
    left = open_fds();
    std::erase_if(left, [&](const auto& each) {
      const auto known = before.find(each.first);
      return known != before.end() && known->second == each.second;
    });
    if (left.empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return left;
}

}  // namespace

FernTest::FernTest() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  std::snprintf(current_test, sizeof current_test, "%s.%s", info->test_suite_name(), info->name());
  std::signal(SIGALRM, on_watchdog);
  ::alarm(static_cast<unsigned>(watchdog_limit()));
  // The hub is there before the counting begins, with what its first wait makes.
  fern::sleep(std::chrono::nanoseconds(1));
  wait_for_nothing();
  fds_ = open_fds();
  greenlets_ = fern::stats().greenlets;
  kept_ = fern::stats().kept;
  blocks_ = live_blocks.load();
}

void FernTest::watch_longer(std::chrono::seconds more) {
  ::alarm(static_cast<unsigned>(watchdog_limit()) + static_cast<unsigned>(more.count()));
}

FernTest::~FernTest() {
  // The loop frees what it watched at its next turn; what was killed before it began has its own.
  fern::sleep(std::chrono::nanoseconds(1));
  fern::yield();
  const auto blocks = live_blocks.load();
  ::alarm(0);
  // A test that failed, or that skipped itself half-way, may leave what it was about to take away.
  if (HasFailure() || IsSkipped()) {
    return;
  }
  EXPECT_EQ(fern::stats().greenlets, greenlets_) << "the test left greenlets behind";
  EXPECT_LE(fern::stats().kept, kept_) << "the test left handles of ended greenlets behind";
  for (const auto& [fd, target] : left_behind(fds_)) {
    ADD_FAILURE() << "the test left descriptor " << fd << " behind: " << target;
  }
  if (heap_reason_.empty()) {
    EXPECT_LE(blocks, blocks_) << "the test left blocks of heap behind";
  }
}

}  // namespace fern::testing

int main(int argc, char** argv) {
  // A shell starts what is to run in its background with these ignored, and children inherit that.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGQUIT, SIG_DFL);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
