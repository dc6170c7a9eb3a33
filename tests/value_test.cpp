// What a Value holds, and that it holds on to nothing.
#include <fern/value.hpp>

#include <any>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support.hpp"

using fern::Value;

namespace {

class ValueTest : public FernTest {};

struct ThreeWords {
  std::uintptr_t words[3];
};
struct FourWords {
  std::uintptr_t words[4];
};
struct alignas(64) Wide {
  int number;
};
// A move that may throw keeps it out of the room inside.
struct Careful {
  Careful() = default;
  Careful(const Careful&) {}
};

static_assert(!std::is_copy_constructible_v<Value>);
static_assert(std::is_nothrow_move_constructible_v<Value>);
static_assert(!std::is_convertible_v<int, Value>);
static_assert(sizeof(Value) == 4 * sizeof(void*));

}  // namespace

TEST_F(ValueTest, OfNothingIsEmpty) {
  Value value;
  EXPECT_TRUE(value.empty());
  EXPECT_EQ(value.get_if<int>(), nullptr);
  EXPECT_THROW(value.get<int>(), std::bad_any_cast);
  EXPECT_THROW(value.take<int>(), std::bad_any_cast);
}

TEST_F(ValueTest, GivesBackWhatWentInAndOnlyAsThatType) {
  Value value(7);
  EXPECT_EQ(value.get<int>(), 7);
  EXPECT_THROW(value.get<long>(), std::bad_any_cast);
  EXPECT_THROW(value.take<unsigned>(), std::bad_any_cast);
  value.get<int>() = 8;
  EXPECT_EQ(std::as_const(value).get<int>(), 8);
  EXPECT_EQ(value.take<int>(), 8);
  EXPECT_TRUE(value.empty());
  value = Value("text");
  EXPECT_STREQ(value.get<const char*>(), "text");
  EXPECT_EQ(value.get_if<std::string>(), nullptr);
}

TEST_F(ValueTest, MovesAndLeavesNothing) {
  Value value(std::make_unique<int>(3));
  Value other(std::move(value));
  EXPECT_TRUE(value.empty());
  value = std::move(other);
  EXPECT_TRUE(other.empty());
  value = std::move(*&value);
  EXPECT_EQ(*value.get<std::unique_ptr<int>>(), 3);
  auto taken = value.take<std::unique_ptr<int>>();
  EXPECT_EQ(*taken, 3);
  EXPECT_TRUE(value.empty());
}

TEST_F(ValueTest, DestroysWhatItHolds) {
  auto counted = std::make_shared<int>();
  {
    Value small(counted);
    Value large(std::make_tuple(counted, counted, counted));
    EXPECT_EQ(counted.use_count(), 5);
    small = Value(1);
    EXPECT_EQ(counted.use_count(), 4);
    Value moved(std::move(large));
    EXPECT_EQ(counted.use_count(), 4);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(ValueTest, AllocatesNothingForThreeWordsOrLess) {
  auto pointer = std::make_unique<int>();
  auto before = fern::testing::heap_allocations();
  {
    Value three(ThreeWords{{1, 2, 3}});
    Value moved(std::move(three));
    EXPECT_EQ(moved.get<ThreeWords>().words[2], 3u);
    Value owned(std::move(pointer));
    Value vector(std::vector<int>{});
    owned = std::move(vector);
  }
  EXPECT_EQ(fern::testing::heap_allocations(), before);
  Value four(FourWords{{1, 2, 3, 4}});
  EXPECT_EQ(four.get<FourWords>().words[3], 4u);
#ifdef FERN_TESTS_COUNT_HEAP
  EXPECT_EQ(fern::testing::heap_allocations(), before + 1);
#endif
}

TEST_F(ValueTest, HoldsWhatNeedsMoreThanItsRoom) {
  Value wide(Wide{5});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&wide.get<Wide>()) % alignof(Wide), 0u);
  EXPECT_EQ(wide.take<Wide>().number, 5);
  Value careful{Careful()};
  EXPECT_NE(careful.get_if<Careful>(), nullptr);
  Value moved(std::move(careful));
  EXPECT_NE(moved.get_if<Careful>(), nullptr);
}
