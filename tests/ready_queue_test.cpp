#include "core/ready_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

#include "core/greenlet.hpp"
#include "support.hpp"

using fern::core::Greenlet;
using fern::core::ReadyQueue;

namespace {

class ReadyQueueTest : public FernTest {
 protected:
  std::vector<std::size_t> drain() {
    std::vector<std::size_t> order;
    while (!queue.empty()) order.push_back(number(queue.pop()));
    return order;
  }
  std::size_t number(const Greenlet& greenlet) const {
    return static_cast<std::size_t>(&greenlet - greenlets.data());
  }
  void push(std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) queue.push(greenlets[i]);
  }
  // The first push then comes to a place before the ring's end, and the ones after it wrap.
  void turn_by(std::size_t places) {
    push(0, 2);
    for (std::size_t i = 0; i < places; ++i) queue.push(queue.pop());
    drain();
  }

  static constexpr std::size_t full = 64;  // what the smallest ring holds
  std::vector<Greenlet> greenlets{200};
  Greenlet nobody;
  ReadyQueue queue;
};

std::vector<std::size_t> numbers(std::size_t first, std::size_t last) {
  std::vector<std::size_t> made;
  for (std::size_t i = first; i < last; ++i) made.push_back(i);
  return made;
}

TEST_F(ReadyQueueTest, WhoComesFirstHasTheFirstTurn) {
  queue.reserve(full, nobody);
  for (std::size_t turn = 0; turn < full; ++turn) {
    turn_by(turn);
    push(0, full);
    EXPECT_EQ(queue.size(), full);
    EXPECT_EQ(drain(), numbers(0, full));
    EXPECT_EQ(queue.size(), 0U);
  }
}

TEST_F(ReadyQueueTest, WhoYieldsStandsBehindAllOthers) {
  queue.reserve(full, nobody);
  push(0, 3);
  EXPECT_TRUE(queue.has_second());
  EXPECT_EQ(number(queue.rotate(greenlets[3])), 0U);
  EXPECT_EQ(drain(), numbers(1, 4));
  push(0, 1);
  EXPECT_FALSE(queue.has_second());
  EXPECT_EQ(number(queue.exchange(greenlets[1])), 0U);
  EXPECT_EQ(drain(), numbers(1, 2));
}

TEST_F(ReadyQueueTest, GrowingKeepsAllInTheirOrder) {
  queue.reserve(full, nobody);
  turn_by(full - 3);
  push(0, full);
  queue.reserve(greenlets.size(), nobody);
  push(full, greenlets.size());
  EXPECT_EQ(drain(), numbers(0, greenlets.size()));
}

#if !defined(FERN_ASAN) && !defined(FERN_TSAN)
// A sanitizer ends the program at such a size.
TEST_F(ReadyQueueTest, ARingThatCannotBeHadIsBadAllocAndChangesNothing) {
  if (fern::testing::under_valgrind()) GTEST_SKIP() << "valgrind reports such a size";
  queue.reserve(full, nobody);
  push(0, full);
  EXPECT_THROW(queue.reserve(std::size_t{1} << 50, nobody), std::bad_alloc);
  EXPECT_EQ(drain(), numbers(0, full));
}
#endif

TEST_F(ReadyQueueTest, TheLastSoManyMayGoFirst) {
  queue.reserve(full, nobody);
  for (std::size_t turn = 0; turn < full; ++turn) {
    for (std::size_t last : {std::size_t{1}, std::size_t{5}, full - 1}) {
      turn_by(turn);
      push(0, full);
      queue.put_first(last);
      auto expected = numbers(0, full);
      std::ranges::rotate(expected, expected.end() - static_cast<std::ptrdiff_t>(last));
      EXPECT_EQ(drain(), expected);
    }
  }
}

TEST_F(ReadyQueueTest, AllOrNoneGoingFirstChangesNothing) {
  queue.reserve(full, nobody);
  push(0, 5);
  queue.put_first(0);
  queue.put_first(5);
  EXPECT_EQ(drain(), numbers(0, 5));
}

TEST_F(ReadyQueueTest, WhoComesSoonIsKnownAndBeyondTheEndItIsSomebody) {
  queue.reserve(full, nobody);
  EXPECT_EQ(&queue.soon(ReadyQueue::foresight), &nobody);
  push(0, 6);
  for (std::size_t i = 1; i < 6; ++i) EXPECT_EQ(number(queue.soon(i)), i);
  EXPECT_EQ(&queue.soon(6), &nobody);
  drain();
  for (std::size_t turn = 0; turn < 2 * full; ++turn) {
    queue.push(greenlets[0]);
    for (std::size_t i = 1; i <= ReadyQueue::foresight; ++i) {
      EXPECT_TRUE(&queue.soon(i) == &nobody || number(queue.soon(i)) < greenlets.size());
    }
    queue.push(greenlets[1]);
    queue.pop();
    queue.pop();
  }
}

TEST_F(ReadyQueueTest, OneThatIsRewoundGoesOnWhereItBegan) {
  queue.reserve(full, nobody);
  turn_by(full - 2);
  queue.rewind();
  EXPECT_TRUE(queue.empty());
  for (std::size_t i = 3; i <= ReadyQueue::foresight; ++i) EXPECT_NE(&queue.soon(i), nullptr);
  push(0, full);
  EXPECT_EQ(drain(), numbers(0, full));
}

TEST_F(ReadyQueueTest, WhatIsClearedIsEmptyAndGoesOn) {
  queue.reserve(full, nobody);
  push(0, 7);
  queue.clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0U);
  push(7, 9);
  EXPECT_EQ(drain(), numbers(7, 9));
}

}  // namespace
