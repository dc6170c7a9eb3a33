// What the standard library asks of the types that it is handed: Fern's have it.

#include <fern/fern.hpp>

#include <algorithm>
#include <chrono>
#include <compare>
#include <concepts>
#include <condition_variable>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <ranges>
#include <ratio>
#include <set>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;

// --- locks ------------------------------------------------------------------------------------

template <class L>
concept BasicLockable = requires(L lock) {
  lock.lock();
  lock.unlock();
};
template <class L>
concept Lockable = BasicLockable<L> && requires(L lock) {
  { lock.try_lock() } -> std::convertible_to<bool>;
};
template <class L>
concept TimedLockable =
    Lockable<L> && requires(L lock, std::chrono::duration<float, std::ratio<3>> duration,
                            std::chrono::steady_clock::time_point point) {
      { lock.try_lock_for(duration) } -> std::convertible_to<bool>;
      { lock.try_lock_until(point) } -> std::convertible_to<bool>;
    };
template <class L>
concept SharedTimedLockable =
    requires(L lock, std::chrono::minutes duration, std::chrono::steady_clock::time_point point) {
      lock.lock_shared();
      { lock.try_lock_shared() } -> std::convertible_to<bool>;
      { lock.try_lock_shared_for(duration) } -> std::convertible_to<bool>;
      { lock.try_lock_shared_until(point) } -> std::convertible_to<bool>;
      lock.unlock_shared();
    };

template <class L>
concept Stays = !std::copyable<L> && !std::movable<L>;

static_assert(TimedLockable<fern::Mutex> && Stays<fern::Mutex>);
static_assert(TimedLockable<fern::RLock> && Stays<fern::RLock>);
static_assert(TimedLockable<fern::SharedMutex> && Stays<fern::SharedMutex>);
static_assert(SharedTimedLockable<fern::SharedMutex>);
static_assert(TimedLockable<fern::Semaphore> && Stays<fern::Semaphore>);
static_assert(TimedLockable<fern::BoundedSemaphore>);
static_assert(TimedLockable<std::unique_lock<fern::Mutex>>);
static_assert(std::is_default_constructible_v<fern::Mutex>);

// The wall clock jumps, so its points are refused.
template <class L>
concept TakesWallClock =
    requires(L lock, std::chrono::system_clock::time_point point) { lock.try_lock_until(point); };
static_assert(!TakesWallClock<fern::Mutex>);

// --- handles ----------------------------------------------------------------------------------

template <class H>
concept HashableHandle = std::regular<H> && std::totally_ordered<H> &&
                         std::three_way_comparable<H> && requires(const H& handle) {
                           { std::hash<H>()(handle) } -> std::convertible_to<std::size_t>;
                         };

static_assert(HashableHandle<fern::AnyGreenlet>);
static_assert(HashableHandle<fern::Greenlet<void>>);
static_assert(HashableHandle<fern::Greenlet<std::unique_ptr<int>>>);
static_assert(std::convertible_to<fern::Greenlet<int>, fern::AnyGreenlet>);
static_assert(std::is_nothrow_move_constructible_v<fern::Greenlet<int>>);
static_assert(std::copyable<fern::AsyncResult<std::unique_ptr<int>>>);
static_assert(std::copyable<fern::Callback<std::unique_ptr<int>>>);
static_assert(std::movable<fern::Socket> && !std::copyable<fern::Socket>);
static_assert(std::movable<fern::Timer> && !std::copyable<fern::Timer>);
static_assert(std::movable<fern::ScopedGreenlet<int>> && !std::copyable<fern::ScopedGreenlet<int>>);
static_assert(std::is_nothrow_copy_constructible_v<fern::TaskGroupError>);
static_assert(std::totally_ordered<fern::Deadline> && std::regular<fern::Deadline>);

// --- ranges -----------------------------------------------------------------------------------

using Results = fern::Imap<std::string>;
static_assert(std::ranges::input_range<Results>);
static_assert(std::ranges::view<Results> && !std::copyable<Results>);
static_assert(std::ranges::viewable_range<Results>);
static_assert(!std::ranges::forward_range<Results>);
static_assert(std::same_as<std::ranges::range_reference_t<Results>, std::string&>);
static_assert(std::sentinel_for<std::default_sentinel_t, std::ranges::iterator_t<Results>>);
static_assert(std::ranges::input_range<fern::GreenPile<int>>);
static_assert(std::ranges::input_range<fern::Queue<std::unique_ptr<int>>>);
static_assert(std::ranges::input_range<fern::PriorityQueue<int>>);

// --- durations --------------------------------------------------------------------------------

static_assert(std::convertible_to<std::chrono::duration<double>, fern::Deadline>);
static_assert(std::convertible_to<std::chrono::duration<char, std::milli>, fern::Deadline>);
static_assert(std::convertible_to<std::chrono::duration<unsigned long, std::pico>, fern::Deadline>);
static_assert(std::convertible_to<std::chrono::years, fern::Deadline>);
static_assert(!std::convertible_to<int, fern::Deadline>);
static_assert(!std::convertible_to<std::chrono::system_clock::time_point, fern::Deadline>);

class StdConceptsTest : public FernTest {};

TEST_F(StdConceptsTest, StdLockTakesAllKindsAtOnceWithoutADeadlock) {
  fern::Mutex mutex;
  fern::RLock recursive;
  fern::SharedMutex shared;
  fern::Semaphore semaphore(1);
  int inside = 0;
  auto work = [&](bool backwards) {
    for (int i = 0; i < 20; ++i) {
      if (backwards) {
        std::lock(semaphore, shared, recursive, mutex);
      } else {
        std::lock(mutex, recursive, shared, semaphore);
      }
      std::scoped_lock all(std::adopt_lock, mutex, recursive, shared, semaphore);
      EXPECT_EQ(++inside, 1);
      fern::yield();
      --inside;
    }
  };
  fern::joinall(fern::spawn(work, true), fern::spawn(work, false), fern::spawn(work, true));
  EXPECT_EQ(std::try_lock(mutex, recursive, shared, semaphore), -1);
  std::scoped_lock all(std::adopt_lock, mutex, recursive, shared, semaphore);
  std::unique_lock<fern::Semaphore> late(semaphore, 1ms);
  EXPECT_FALSE(late.owns_lock());
}

// Its waits block the thread: it is for plain threads that share a Mutex with greenlets.
TEST_F(StdConceptsTest, StdConditionVariableAnyWorksWithOurLocks) {
  fern::SharedMutex mutex;
  std::condition_variable_any changed;
  std::shared_lock reading(mutex);
  EXPECT_EQ(changed.wait_for(reading, 1ms), std::cv_status::timeout);
  EXPECT_TRUE(reading.owns_lock());
}

TEST_F(StdConceptsTest, StdLockGuardsHoldPermitsOfASemaphore) {
  fern::Semaphore semaphore(2);
  {
    std::lock_guard first(semaphore);
    std::unique_lock second(semaphore);
    EXPECT_EQ(semaphore.counter(), 0);
  }
  EXPECT_EQ(semaphore.counter(), 2);
}

TEST_F(StdConceptsTest, HandlesAreKeysOfAssociativeContainers) {
  auto one = fern::spawn([] { return 1; });
  auto two = fern::spawn([] { return 2; });
  std::map<fern::Greenlet<int>, std::string> ordered{{one, "one"}, {two, "two"}};
  std::unordered_map<fern::Greenlet<int>, std::string> hashed{{one, "one"}, {two, "two"}};
  std::unordered_set<fern::AnyGreenlet> set{one, two, one, fern::AnyGreenlet()};
  std::set<fern::AnyGreenlet> ordered_set(set.begin(), set.end());
  for (auto& each : fern::joinall(std::vector{one, two})) {
    EXPECT_EQ(ordered.at(each), hashed.at(each));
    EXPECT_TRUE(set.contains(each));
  }
  EXPECT_EQ(set.size(), 3U);
  EXPECT_EQ(ordered_set.size(), 3U);
  EXPECT_EQ(std::hash<fern::AnyGreenlet>()(one), std::hash<fern::Greenlet<int>>()(one));
}

TEST_F(StdConceptsTest, ResultsGoThroughViewsAndAlgorithms) {
  fern::GreenPool pool(3);
  auto square = [](int x) { return x * x; };
  std::vector<int> even;
  for (int x : pool.imap(square, std::views::iota(1, 10)) |
                   std::views::filter([](int x) { return x % 2 == 0; }) |
                   std::views::transform(std::negate<>()) | std::views::take(3)) {
    even.push_back(x);
  }
  EXPECT_EQ(even, (std::vector{-4, -16, -36}));
  auto all = pool.imap(square, std::vector{1, 2, 3});
  int sum = 0;
  std::ranges::for_each(all, [&](int x) { sum += x; });
  EXPECT_EQ(sum, 14);
}

TEST_F(StdConceptsTest, AQueueIsReadByAlgorithmsUntilItIsClosed) {
  fern::Queue<int> queue;
  fern::spawn_raw([&] {
    for (int i = 1; i <= 4; ++i) {
      queue.put(i);
      fern::yield();
    }
    queue.close();
  });
  std::vector<int> read;
  std::ranges::copy(queue, std::back_inserter(read));
  EXPECT_EQ(read, (std::vector{1, 2, 3, 4}));
}

TEST_F(StdConceptsTest, DurationsOfAnyRepAreDeadlines) {
  fern::Event event;
  EXPECT_FALSE(event.wait(std::chrono::duration<float, std::micro>(0.5F)));
  EXPECT_FALSE(event.wait(std::chrono::duration<long double, std::ratio<1, 30>>(0.01L)));
  EXPECT_FALSE(event.wait(std::chrono::duration<signed char>(-1)));
  EXPECT_FALSE(event.wait(std::chrono::duration<unsigned char, std::milli>(1)));
  event.set();
  EXPECT_TRUE(event.wait(std::chrono::duration<double, std::ratio<31556952>>(1e300)));
}

}  // namespace
