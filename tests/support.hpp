#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace fern::testing {

// The most greenlets that a test may have alive; builds with a sanitizer lower it. A test of more
// than 20,000 carries the suite `many`.
inline constexpr int many = FERN_TESTS_MANY;

// Whether this program runs under valgrind, where everything takes some twenty times longer.
bool under_valgrind();

// How often operator new was called so far; always 0 in builds with a sanitizer.
std::int64_t heap_allocations();

// OnExit calls f when its scope ends.
struct OnExit {
  std::function<void()> f;
  ~OnExit() { f(); }
};

// Parks the calling greenlet until it is killed.
void wait_forever();

// How often the text has `what` in it, and whether it has.
std::size_t count_of(const std::string& text, const std::string& what);
bool says(const std::string& text, const std::string& what);

// The fixture of every test. It fails a test that leaves file descriptors, heap or greenlets
// behind, and one that takes too long aborts and says which it was.
class FernTest : public ::testing::Test {
 protected:
  FernTest();
  // Checks here, not in TearDown: by now what a derived fixture holds is destroyed too.
  ~FernTest() override;

  // Lets this test end with more heap than it began with, for the reason given: a cache that the
  // process keeps, such as the threads of a pool.
  void may_keep_heap(std::string reason) { heap_reason_ = std::move(reason); }

  // Gives this test so much longer before the watchdog takes it for stuck.
  void watch_longer(std::chrono::seconds more);

 private:
  // Descriptor number to what it is, as when the test began.
  std::map<int, std::string> fds_;
  // Greenlets of this thread's hub that were alive when the test began.
  std::size_t greenlets_ = 0;
  // Those that had ended, but whose handles somebody held.
  std::size_t kept_ = 0;
  // Blocks from operator new that were alive when the test began.
  std::int64_t blocks_ = 0;
  std::string heap_reason_;
};

}  // namespace fern::testing

using fern::testing::count_of;
using fern::testing::FernTest;
using fern::testing::OnExit;
using fern::testing::says;
using fern::testing::wait_forever;
