#include "core/timers.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "support.hpp"

using fern::core::Timer;
using fern::core::Timers;

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t hour = 3'600'000 * ms;

// A timer that writes down its number when it fires.
struct Numbered : Timer {
  int number = 0;
  std::vector<int>* fired = nullptr;
};

Numbered numbered(int number, std::vector<int>& fired) {
  Numbered timer;
  timer.number = number;
  timer.fired = &fired;
  timer.fire = [](Timer* self) noexcept {
    auto* timer = static_cast<Numbered*>(self);
    timer->fired->push_back(timer->number);
  };
  return timer;
}

// A wheel whose clock has been at `now`; as large as a hub, so not on the stack.
std::unique_ptr<Timers> timers_at(std::int64_t now) {
  auto timers = std::make_unique<Timers>();
  timers->expire(now);
  return timers;
}

class TimersTest : public FernTest {
 protected:
  std::vector<int> fired;
};

// Some start for the clock that is no round number of ticks.
constexpr std::int64_t begin = 12'345'678'901'234;

}  // namespace

TEST_F(TimersTest, FireAtTheirNanosecondAndNeverBefore) {
  auto timers = timers_at(begin);
  Numbered timer = numbered(1, fired);
  timers->start(timer, begin + 10 * ms);
  timers->expire(begin + 10 * ms - 1);
  EXPECT_TRUE(fired.empty());
  EXPECT_TRUE(timer.started());
  timers->expire(begin + 10 * ms);
  EXPECT_EQ(fired, std::vector<int>{1});
  EXPECT_FALSE(timer.started());
  EXPECT_TRUE(timers->empty());
}

TEST_F(TimersTest, FireInOrderOfDeadlineThenOfStart) {
  auto timers = timers_at(begin);
  std::vector<Numbered> some;
  some.reserve(6);
  for (int i = 0; i < 6; ++i) some.push_back(numbered(i, fired));
  timers->start(some[0], begin + 5);
  timers->start(some[1], begin + 3);
  timers->start(some[2], begin + hour);
  timers->start(some[3], begin + 5);
  timers->start(some[4], begin + hour);
  timers->start(some[5], begin - 7);
  timers->expire(begin + 2 * hour);
  EXPECT_EQ(fired, (std::vector<int>{5, 1, 0, 3, 2, 4}));
}

TEST_F(TimersTest, EqualDeadlinesKeepTheirOrderThroughEveryLevelOfTheWheel) {
  auto timers = timers_at(begin);
  std::int64_t deadline = begin + 50 * hour;
  std::vector<Numbered> some;
  some.reserve(100);
  // Started at different distances, so that they come down from different levels.
  std::int64_t now = begin;
  for (int i = 0; i < 100; ++i) {
    some.push_back(numbered(i, fired));
    timers->start(some.back(), deadline);
    now += (deadline - now) / 3;
    timers->expire(now);
  }
  EXPECT_TRUE(fired.empty());
  timers->expire(deadline);
  ASSERT_EQ(fired.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fired[static_cast<std::size_t>(i)], i);
}

TEST_F(TimersTest, ManyInOneSlotComeDownAllLevelsInOrderWhateverWasCancelledBetween) {
  auto timers = timers_at(begin);
  std::vector<Numbered> some;
  some.reserve(300);
  for (int i = 0; i < 300; ++i) some.push_back(numbered(i, fired));
  // Thirty deadlines, each of ten timers, in one tick; every third timer goes before it is due.
  for (int i = 0; i < 300; ++i) {
    timers->start(some[static_cast<std::size_t>(i)], begin + 90 * hour + i % 30);
  }
  for (int i = 0; i < 300; i += 3) timers->cancel(some[static_cast<std::size_t>(i)]);
  for (std::int64_t left = 90 * hour; left > 1; left /= 3) {
    timers->expire(begin + 90 * hour - left);
  }
  EXPECT_TRUE(fired.empty());
  timers->expire(begin + 91 * hour);
  std::vector<int> expected;
  for (int deadline = 0; deadline < 30; ++deadline) {
    for (int i = deadline; i < 300; i += 30) {
      if (i % 3 != 0) expected.push_back(i);
    }
  }
  EXPECT_EQ(fired, expected);
}

TEST_F(TimersTest, ThoseBeyondEnoughFireInTheNextCallsAndAreDueMeanwhile) {
  auto timers = timers_at(begin);
  std::vector<Numbered> some;
  some.reserve(100);
  for (int i = 0; i < 100; ++i) {
    some.push_back(numbered(i, fired));
    timers->start(some.back(), begin + (i + 1) * ms);
  }
  std::int64_t now = begin + hour;
  timers->expire(now, 10);
  EXPECT_EQ(fired.size(), 10u);
  EXPECT_LE(timers->earliest(), now);
  while (!timers->empty()) timers->expire(now, 10);
  ASSERT_EQ(fired.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fired[static_cast<std::size_t>(i)], i);
}

TEST_F(TimersTest, ACancelledTimerDoesNotFireAndMayBeStartedAgain) {
  auto timers = timers_at(begin);
  Numbered timer = numbered(1, fired);
  timers->cancel(timer);
  timers->start(timer, begin + ms);
  timers->cancel(timer);
  timers->cancel(timer);
  timers->expire(begin + 2 * ms);
  EXPECT_TRUE(fired.empty());
  timers->start(timer, begin + 3 * ms);
  timers->expire(begin + 3 * ms);
  EXPECT_EQ(fired, std::vector<int>{1});
}

TEST_F(TimersTest, OneThatFiresMayCancelAnotherThatIsDue) {
  struct Canceller : Timer {
    Timers* timers = nullptr;
    Timer* victim = nullptr;
  } canceller;
  auto timers = timers_at(begin);
  Numbered near = numbered(1, fired);
  Numbered far = numbered(2, fired);
  canceller.timers = timers.get();
  canceller.victim = &near;
  canceller.fire = [](Timer* self) noexcept {
    auto* canceller = static_cast<Canceller*>(self);
    canceller->timers->cancel(*canceller->victim);
  };
  timers->start(canceller, begin + 1);
  timers->start(near, begin + 2);
  timers->start(far, begin + 3);
  timers->expire(begin + 5);
  EXPECT_EQ(fired, std::vector<int>{2});
  EXPECT_TRUE(timers->empty());
}

TEST_F(TimersTest, OneThatFiresAndStartsAnotherThatIsDueLeavesItToTheNextCall) {
  struct Restarter : Timer {
    Timers* timers = nullptr;
    int fires = 0;
  } restarter;
  auto timers = timers_at(begin);
  restarter.timers = timers.get();
  restarter.fire = [](Timer* self) noexcept {
    auto* restarter = static_cast<Restarter*>(self);
    ++restarter->fires;
    restarter->timers->start(*restarter, 0);
  };
  timers->start(restarter, begin + 1);
  timers->expire(begin + 2);
  EXPECT_EQ(restarter.fires, 1);
  EXPECT_LE(timers->earliest(), begin + 2);
  timers->expire(begin + 2);
  EXPECT_EQ(restarter.fires, 2);
  timers->cancel(restarter);
  EXPECT_TRUE(timers->empty());
}

TEST_F(TimersTest, EarliestIsNeverWithoutTimersAndExactForTheNearest) {
  auto timers = timers_at(begin);
  EXPECT_EQ(timers->earliest(), never);
  Numbered one = numbered(1, fired);
  Numbered two = numbered(2, fired);
  timers->start(one, begin + 200'000);
  EXPECT_EQ(timers->earliest(), begin + 200'000);
  timers->start(two, begin + 150'000);
  EXPECT_EQ(timers->earliest(), begin + 150'000);
  timers->cancel(two);
  EXPECT_EQ(timers->earliest(), begin + 200'000);
  timers->cancel(one);
  EXPECT_EQ(timers->earliest(), never);
}

TEST_F(TimersTest, AFarDeadlineNeedsAHandfulOfWakeUps) {
  auto timers = timers_at(begin);
  Numbered timer = numbered(1, fired);
  std::int64_t deadline = begin + 1000 * hour + 17;
  timers->start(timer, deadline);
  int wakes = 0;
  for (std::int64_t now = begin; fired.empty(); ++wakes) {
    ASSERT_GT(timers->earliest(), now);
    now = timers->earliest();
    ASSERT_LE(now, deadline);
    timers->expire(now);
  }
  EXPECT_LE(wakes, 7);
}

TEST_F(TimersTest, TheEndOfTimeIsADeadlineLikeAnyOther) {
  auto timers = timers_at(begin);
  Numbered last = numbered(1, fired);
  Numbered near = numbered(2, fired);
  timers->start(last, never);
  timers->start(near, begin + ms);
  EXPECT_LE(timers->earliest(), begin + ms);
  timers->expire(begin + 24 * hour);
  EXPECT_EQ(fired, std::vector<int>{2});
  EXPECT_EQ(timers->count(), 1u);
  timers->cancel(last);
}

TEST_F(TimersTest, ForgottenTimersNeitherFireNorHarmWhoCancelsThem) {
  auto timers = timers_at(begin);
  std::vector<Numbered> old;
  old.reserve(20);
  for (int i = 0; i < 20; ++i) {
    old.push_back(numbered(i, fired));
    timers->start(old.back(), begin + ms * (i % 3));
  }
  timers->forget();
  EXPECT_TRUE(timers->empty());
  Numbered fresh = numbered(100, fired);
  timers->start(fresh, begin + ms);
  for (int i = 0; i < 10; ++i) timers->cancel(old[static_cast<std::size_t>(i)]);
  EXPECT_EQ(timers->count(), 1u);
  timers->start(old[0], begin + 2 * ms);
  timers->expire(begin + 10 * ms);
  EXPECT_EQ(fired, (std::vector<int>{100, 0}));
}

namespace {

// The wheel against a sorted map, with the same random calls.
class Model {
 public:
  explicit Model(unsigned seed)
      : random_(seed), now_(begin + seed * 7919), timers_(timers_at(now_)) {
    timers_pool_.reserve(count);
    for (int i = 0; i < count; ++i) timers_pool_.push_back(numbered(i, fired_));
    place_.resize(count, expected_.end());
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      unsigned what = random_() % 10;
      if (what < 6) {
        start(static_cast<std::size_t>(random_() % count));
      } else if (what < 8) {
        cancel(static_cast<std::size_t>(random_() % count));
      } else {
        expire();
      }
      check_earliest();
    }
    for (std::size_t i = 0; i < place_.size(); ++i) cancel(i);
    EXPECT_TRUE(timers_->empty());
  }

 private:
  static constexpr int count = 200;
  using Expected = std::multimap<std::int64_t, int>;  // equal keys keep their order

  // Distances of every size, from overdue to years.
  std::int64_t distance() {
    int bits = static_cast<int>(random_() % 56);
    auto value = static_cast<std::int64_t>(random_() & ((std::uint64_t{1} << bits) - 1));
    return random_() % 16 == 0 ? -value : value;
  }

  void start(std::size_t i) {
    cancel(i);
    std::int64_t deadline = now_ + distance();
    // Now and then the same one as another's, to have ties.
    if (!expected_.empty() && random_() % 3 == 0) deadline = expected_.begin()->first;
    if (deadline < 0) deadline = 0;
    timers_->start(timers_pool_[i], deadline);
    place_[i] = expected_.emplace(deadline, static_cast<int>(i));
  }

  void cancel(std::size_t i) {
    timers_->cancel(timers_pool_[i]);
    if (place_[i] != expected_.end()) expected_.erase(place_[i]);
    place_[i] = expected_.end();
  }

  void expire() {
    std::int64_t step = distance();
    // Often exactly to the nearest deadline, or one short of it.
    if (!expected_.empty() && random_() % 2 == 0)
      step = expected_.begin()->first - now_ - random_() % 2;
    if (step > 0) now_ += step;
    std::vector<int> due;
    while (!expected_.empty() && expected_.begin()->first <= now_) {
      due.push_back(expected_.begin()->second);
      place_[static_cast<std::size_t>(due.back())] = expected_.end();
      expected_.erase(expected_.begin());
    }
    fired_.clear();
    timers_->expire(now_);
    EXPECT_EQ(fired_, due);
    EXPECT_EQ(timers_->count(), expected_.size());
  }

  void check_earliest() {
    if (expected_.empty()) {
      EXPECT_EQ(timers_->earliest(), never);
    } else {
      EXPECT_LE(timers_->earliest(), std::max(expected_.begin()->first, now_));
    }
  }

  std::mt19937_64 random_;
  std::int64_t now_;
  std::unique_ptr<Timers> timers_;
  std::vector<Numbered> timers_pool_;
  std::vector<int> fired_;
  Expected expected_;
  std::vector<Expected::iterator> place_;
};

}  // namespace

TEST_F(TimersTest, BehaveAsASortedMapUnderRandomCalls) {
  const unsigned seeds = fern::testing::under_valgrind() ? 5 : 150;
  for (unsigned seed = 0; seed < seeds && !HasFailure(); ++seed) {
    Model(seed).run(1500);
    if (HasFailure()) ADD_FAILURE() << "with seed " << seed;
  }
}

TEST_F(TimersTest, AMillionPendingFireInOrder) {
  const int count = fern::testing::under_valgrind() ? 10'000 : 1'000'000;
  auto timers = timers_at(begin);
  struct Counted : Timer {
    std::int64_t* last = nullptr;
    bool* ordered = nullptr;
  };
  std::vector<Counted> many(static_cast<std::size_t>(count));
  std::mt19937_64 random(1);
  std::int64_t last = 0;
  bool ordered = true;
  for (auto& timer : many) {
    timer.last = &last;
    timer.ordered = &ordered;
    timer.fire = [](Timer* self) noexcept {
      auto* timer = static_cast<Counted*>(self);
      if (timer->deadline < *timer->last) *timer->ordered = false;
      *timer->last = timer->deadline;
    };
    timers->start(timer, begin + static_cast<std::int64_t>(random() % (60'000 * ms)));
  }
  EXPECT_EQ(timers->count(), many.size());
  for (std::size_t i = 0; i < many.size(); i += 2) timers->cancel(many[i]);
  EXPECT_EQ(timers->count(), many.size() / 2);
  for (std::int64_t now = begin; !timers->empty(); now += 700 * ms) timers->expire(now);
  EXPECT_TRUE(ordered);
}
