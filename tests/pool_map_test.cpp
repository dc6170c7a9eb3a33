#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/pool.hpp>

#include <algorithm>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using fern::GreenletExit;
using fern::GreenPool;

namespace {

using Log = std::vector<std::string>;

class PoolTest : public FernTest {
 protected:
  // Those killed before they ran leave at their turn.
  ~PoolTest() override { fern::yield(); }
};

}  // namespace

TEST_F(PoolTest, MapReturnsResultsInOrder) {
  GreenPool pool(3);
  int running = 0;
  int most = 0;
  auto doubled = pool.map(
      [&](int i) {
        most = std::max(most, ++running);
        for (int turn = i; turn < 5; ++turn) fern::yield();
        --running;
        return 2 * i;
      },
      std::vector{0, 1, 2, 3, 4});
  EXPECT_EQ(doubled, (std::vector{0, 2, 4, 6, 8}));
  EXPECT_EQ(most, 3);
  EXPECT_EQ(pool.running(), 0u);
}

// gevent: V51.
TEST_F(PoolTest, MapThrowsTheFirstFailureInOrder) {
  GreenPool pool(3);
  Log log;
  auto work = [&](int i) {
    for (int turn = 0; turn < i; ++turn) fern::yield();
    log.push_back(std::to_string(i));
    if (i == 2) throw std::out_of_range("2");
    if (i == 1) throw std::domain_error("1");
    return i;
  };
  testing::internal::CaptureStderr();
  EXPECT_THROW(pool.map(work, std::vector{0, 2, 1, 3}), std::out_of_range);
  EXPECT_TRUE(pool.waitall());
  // Nobody has read the other failure.
  EXPECT_NE(testing::internal::GetCapturedStderr().find("1"), std::string::npos);
  EXPECT_EQ(log.size(), 4u);
}

TEST_F(PoolTest, AfterAFailureInMapTheOthersRunOn) {
  GreenPool pool;
  fern::Event gate;
  int ran = 0;
  auto work = [&](int i) {
    if (i == 0) throw std::runtime_error("0");
    gate.wait();
    ++ran;
    return i;
  };
  EXPECT_THROW(pool.map(work, std::vector{0, 1, 2}), std::runtime_error);
  EXPECT_EQ(pool.running(), 2u);
  gate.set();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, MapThrowsWhatItsInputThrows) {
  GreenPool pool(1);
  int ran = 0;
  auto input = std::views::iota(0, 9) | std::views::transform([](int i) {
                 if (i == 2) throw std::out_of_range("input");
                 return i;
               });
  auto work = [&](int i) {
    ++ran;
    return i;
  };
  EXPECT_THROW(pool.map(work, input), std::out_of_range);
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, AMapThatIsKilledLeavesItsMembersRunning) {
  GreenPool pool(2);
  fern::Event gate;
  int ran = 0;
  auto work = [&](int i) {
    gate.wait();
    ++ran;
    return i;
  };
  std::vector<int> input{1, 2};
  auto mapper = fern::spawn([&] { pool.map(work, input); });
  fern::yield();
  mapper.kill();
  EXPECT_TRUE(mapper.killed());
  EXPECT_EQ(pool.running(), 2u);
  gate.set();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, MapInsideOfAFullPoolDoesNotHang) {
  GreenPool pool(1);
  auto inner = [&](int i) {
    auto each = pool.map([i](int j) { return i * j; }, std::vector{1, 2, 3});
    return each[0] + each[1] + each[2];
  };
  EXPECT_EQ(pool.map(inner, std::vector{1, 2}), (std::vector{6, 12}));
  auto failing = [&](int i) {
    EXPECT_THROW(pool.map([](int j) -> int { throw j; }, std::vector{i}), int);
    EXPECT_THROW(pool.map([](int) -> int { throw GreenletExit(); }, std::vector{i}),
                 fern::GreenletKilled);
    return i;
  };
  EXPECT_EQ(pool.map(failing, std::vector{1, 2}), (std::vector{1, 2}));
}

TEST_F(PoolTest, MapReadsSeveralRangesToTheEndOfTheShortest) {
  GreenPool pool(2);
  const std::vector<std::string> words{"a", "b", "c"};
  auto joined = pool.map([](const std::string& word, int n) { return word + std::to_string(n); },
                         words, std::views::iota(1, 3));
  EXPECT_EQ(joined, (Log{"a1", "b2"}));
}

TEST_F(PoolTest, MapThrowsGreenletKilledForAKilledMember) {
  GreenPool pool(2);
  auto work = [](int i) {
    if (i == 1) fern::current_greenlet().kill();
    return i;
  };
  EXPECT_THROW(pool.map(work, std::vector{0, 1, 2}), fern::GreenletKilled);
  EXPECT_TRUE(pool.waitall());
}

TEST_F(PoolTest, MapTakesResultsThatOnlyMove) {
  GreenPool pool(2);
  auto made = pool.map([](int i) { return std::make_unique<int>(i); }, std::vector{1, 2});
  EXPECT_EQ(*made[1], 2);
}

TEST_F(PoolTest, MapKeepsFewStacks) {
  GreenPool pool(10);
  int count = fern::testing::many / 10;
  auto squares = pool.map(
      [](int i) {
        fern::yield();
        return i;
      },
      std::views::iota(0, count));
  EXPECT_EQ(squares.size(), static_cast<std::size_t>(count));
}
