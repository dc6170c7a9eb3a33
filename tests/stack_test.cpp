#include "core/stack.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "children.hpp"
#include "core/greenlet.hpp"
#include "core/hub.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::core::Greenlet;
using fern::core::Guard;
using fern::core::Stack;
using fern::core::stack_at;
using fern::core::stack_of;
using fern::core::StackPool;
using fern::testing::in_child;
using fern::testing::succeeded;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// Slabs are never unmapped, so neither are pools destroyed.
StackPool& new_pool(Guard guard = fern::core::guard_kind()) {
  static auto* pools = new std::vector<StackPool*>;
  pools->push_back(new StackPool(guard));
  return *pools->back();
}

class StackTest : public FernTest {
 protected:
  StackTest() { may_keep_heap("pools are never destroyed"); }
};

// A block with its stack.
Greenlet* take(StackPool& pool, std::size_t size = StackPool::default_size) {
  Greenlet* block = pool.take(size);
  pool.lend(*block);
  return block;
}

void give(StackPool& pool, Greenlet* block) {
  pool.give_stack(*block->stack, *block);
  pool.give(block);
}

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

std::size_t resident_bytes(const char* from, std::size_t size) {
  std::vector<unsigned char> pages(size / fern::core::page_size());
  if (::mincore(const_cast<char*>(from), size, pages.data()) != 0) return 0;
  return static_cast<std::size_t>(
             std::count_if(pages.begin(), pages.end(), [](auto page) { return (page & 1) != 0; })) *
         fern::core::page_size();
}

bool faults(char* address) {
  return !succeeded(in_child([=] {
    ::signal(SIGSEGV, SIG_DFL);
    *static_cast<volatile char*>(address) = 1;
    return 0;
  }));
}

}  // namespace

TEST_F(StackTest, HasTheSizeAskedForInAnOddNumberOfPagesGuardIncluded) {
  StackPool& pool = new_pool();
  auto size_of = [&](std::size_t asked) {
    Greenlet* block = take(pool, asked);
    std::size_t size = stack_of(*block).size() + fern::core::page_size();
    give(pool, block);
    return size;
  };
  EXPECT_EQ(size_of(256 * kib), 260 * kib);
  EXPECT_EQ(size_of(260 * kib), 260 * kib);
  EXPECT_EQ(size_of(0), StackPool::default_size);
  EXPECT_EQ(size_of(1), StackPool::smallest_size + 4 * kib);
  EXPECT_EQ(size_of(64 * kib + 1), 68 * kib);
  EXPECT_EQ(size_of(68 * kib + 1), 76 * kib);
  EXPECT_EQ(size_of(20 * mib), 20 * mib + 4 * kib);
  EXPECT_EQ(size_of(100 * mib + 5), 100 * mib + 4 * kib);
}

TEST_F(StackTest, IsWritableFromItsBottomToItsTopAndNotBelow) {
  for (Guard guard : {fern::core::guard_kind(), Guard::Protect}) {
    StackPool& pool = new_pool(guard);
    Greenlet* below = take(pool, 32 * kib);
    Greenlet* block = take(pool, 32 * kib);
    Stack stack = stack_of(*block);
    std::memset(stack.bottom, 1, stack.size());
    std::memset(stack_of(*below).bottom, 1, stack_of(*below).size());
    EXPECT_TRUE(faults(stack.bottom - 1));
    EXPECT_TRUE(faults(stack.bottom - fern::core::page_size()));
    EXPECT_EQ(pool.stats().unguarded, 0u);
  }
}

TEST_F(StackTest, IsCountedWhenItCannotBeGuarded) {
  StackPool& pool = new_pool(Guard::None);
  take(pool);
  take(pool);
  EXPECT_EQ(pool.stats().unguarded, 2u);
}

TEST_F(StackTest, GuardsByMprotectStopAtHalfOfTheMappingsAllowed) {
  if (fern::testing::under_valgrind()) GTEST_SKIP() << "valgrind has few mappings";
  // In a child: the mappings would stay.
  EXPECT_TRUE(succeeded(in_child([] {
    StackPool& pool = new_pool(Guard::Protect);
    std::size_t before = mappings();
    std::size_t limit = fern::core::max_map_count();
    for (std::size_t i = 0; i < limit / 4 + 100; ++i) take(pool, StackPool::smallest_size);
    if (pool.stats().unguarded < 100 || pool.stats().unguarded > 200) return 1;
    return mappings() - before <= limit / 2 + 100 ? 0 : 2;
  })));
}

TEST_F(StackTest, IsReusedLastInFirstOut) {
  StackPool& pool = new_pool();
  Greenlet* a = take(pool);
  Greenlet* b = take(pool);
  Greenlet* other = take(pool, 64 * kib);
  EXPECT_NE(a, b);
  give(pool, a);
  give(pool, other);
  give(pool, b);
  EXPECT_EQ(take(pool), b);
  EXPECT_EQ(take(pool), a);
  EXPECT_EQ(take(pool, 64 * kib), other);
  EXPECT_EQ(pool.stats().made, 3u);
}

TEST_F(StackTest, AreAsManyAsBlocksWhoeverHasThem) {
  StackPool& pool = new_pool();
  std::vector<Greenlet*> blocks;
  for (int i = 0; i < 500; ++i) blocks.push_back(pool.take());
  std::set<char*> bottoms;
  for (std::size_t i = 500; i-- > 0;) {
    pool.lend(*blocks[i]);
    bottoms.insert(stack_of(*blocks[i]).bottom);
  }
  EXPECT_EQ(bottoms.size(), 500u);
  EXPECT_GT(pool.stats().slabs, 2u);
  for (Greenlet* block : blocks) EXPECT_EQ(stack_at(stack_of(*block).bottom).block, block);
}

TEST_F(StackTest, IsHadOnlyByThoseThatHaveBegun) {
  std::vector<fern::AnyGreenlet> all;
  char* stack = nullptr;
  int others = 0;
  auto look = [&] {
    char* mine = stack_of(fern::core::Hub::current().running()).bottom;
    if (stack == nullptr) stack = mine;
    if (stack != mine) ++others;
  };
  for (int i = 0; i < 100; ++i) all.push_back(fern::spawn(look));
  fern::joinall(all);
  EXPECT_NE(stack, nullptr);
  // One after another on the same.
  EXPECT_EQ(others, 0);
}

TEST_F(StackTest, IdsAreUniqueAcrossSizesAndSlabs) {
  StackPool& pool = new_pool();
  std::set<std::uint64_t> ids;
  std::size_t taken = 0;
  for (std::size_t size : {StackPool::default_size, 64 * kib, 1 * mib}) {
    for (int i = 0; i < 300; ++i, ++taken) ids.insert(fern::core::id_of(*take(pool, size)));
  }
  EXPECT_EQ(ids.size(), taken);
  EXPECT_EQ(ids.count(0), 0u);
  EXPECT_GT(pool.stats().slabs, 3u);
}

TEST_F(StackTest, IsFoundByAnyAddressInIt) {
  StackPool& pool = new_pool();
  Greenlet* first = take(pool);
  Greenlet* second = take(pool);
  for (Greenlet* block : {first, second}) {
    Stack stack = stack_of(*block);
    EXPECT_EQ(stack_at(stack.bottom).block, block);
    EXPECT_FALSE(stack_at(stack.bottom).in_guard);
    EXPECT_EQ(stack_at(stack.top - 1).block, block);
    EXPECT_EQ(stack_at(stack.bottom - 1).block, block);
    EXPECT_TRUE(stack_at(stack.bottom - 1).in_guard);
    EXPECT_TRUE(stack_at(stack.bottom - fern::core::page_size()).in_guard);
  }
  int here = 0;
  EXPECT_EQ(stack_at(&here).block, nullptr);
  EXPECT_EQ(stack_at(nullptr).block, nullptr);
  EXPECT_EQ(stack_at(first).block, nullptr);
  // Not handed out yet.
  EXPECT_EQ(stack_at(stack_of(*second).top + 2 * StackPool::default_size).block, nullptr);
}

TEST_F(StackTest, TrimWaitsWhileManyMoreBecomeFree) {
  StackPool& pool = new_pool();
  std::vector<Greenlet*> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back(take(pool));
  for (int i = 0; i < 30; ++i) give(pool, blocks[static_cast<std::size_t>(i)]);
  pool.trim(10);
  for (int i = 30; i < 50; ++i) give(pool, blocks[static_cast<std::size_t>(i)]);
  pool.trim(10);
  EXPECT_EQ(pool.stats().given_back, 0u);
  EXPECT_TRUE(pool.wants_trim(10));
  pool.trim(10);
  EXPECT_EQ(pool.stats().given_back, 40u);
}

TEST_F(StackTest, TrimGivesMemoryBackThatStayedUnusedAndKeepsTheWarmOnes) {
  StackPool& pool = new_pool();
  std::vector<Greenlet*> blocks;
  for (int i = 0; i < 50; ++i) {
    blocks.push_back(take(pool));
    Stack stack = stack_of(*blocks.back());
    std::memset(stack.bottom, 7, stack.size());
  }
  for (Greenlet* block : blocks) give(pool, block);
  EXPECT_TRUE(pool.wants_trim(10));
  pool.trim(10);
  EXPECT_EQ(pool.stats().given_back, 0u);
  // Used meanwhile: these five stay warm beyond the ten.
  std::vector<Greenlet*> used;
  for (int i = 0; i < 15; ++i) used.push_back(take(pool));
  for (Greenlet* block : used) give(pool, block);
  pool.trim(10);
  EXPECT_EQ(pool.stats().given_back, 25u);
  EXPECT_TRUE(pool.wants_trim(10));
  pool.trim(10);
  EXPECT_EQ(pool.stats().given_back, 40u);
  EXPECT_FALSE(pool.wants_trim(10));
  std::size_t resident = 0;
  for (Greenlet* block : blocks) {
    resident += resident_bytes(stack_of(*block).bottom, stack_of(*block).size());
  }
  EXPECT_EQ(resident, 10 * (StackPool::default_size - fern::core::page_size()));
  // What was given back can be had again, with its guard.
  for (int i = 0; i < 50; ++i) {
    Stack stack = stack_of(*take(pool));
    std::memset(stack.bottom, 7, stack.size());
  }
  EXPECT_EQ(pool.stats().given_back, 0u);
  EXPECT_EQ(pool.stats().made, 50u);
  EXPECT_TRUE(faults(stack_of(*blocks[49]).bottom - 1));
}

TEST_F(StackTest, TouchedCountsFromTheTopToTheLowestPageUsed) {
  StackPool& pool = new_pool();
  Stack stack = stack_of(*take(pool));
  EXPECT_EQ(fern::core::stack_touched(stack), 0u);
  stack.top[-1] = 1;
  EXPECT_EQ(fern::core::stack_touched(stack), fern::core::page_size());
  stack.top[-100'000] = 1;
  EXPECT_EQ(fern::core::stack_touched(stack), (100'000 / 4096 + 1) * std::size_t{4096});
}

TEST_F(StackTest, AnAbsurdSizeIsBadAllocAndChangesNothing) {
  StackPool& pool = new_pool();
  for (std::size_t size :
       {std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() - 4096,
        std::size_t{1} << 62, StackPool::largest_size + 1}) {
    EXPECT_THROW(take(pool, size), std::bad_alloc) << size;
  }
  EXPECT_EQ(pool.stats().slabs, 0u);
  EXPECT_THROW(fern::spawn(fern::SpawnOptions{.stack_size = ~std::size_t{0}}, [] {}),
               std::bad_alloc);
  EXPECT_EQ(fern::Hub::current().greenlets(), 0u);
}

#if !defined(FERN_ASAN) && !defined(FERN_TSAN)
// A sanitizer's shadow is beyond any limit.
namespace {

// Takes stacks until address space is out; returns how many, each written to.
std::size_t take_all(StackPool& pool) {
  std::size_t count = 0;
  try {
    for (;; ++count) *(stack_of(*take(pool)).top - 1) = 1;
  } catch (const std::bad_alloc&) {
  }
  return count;
}

int limit_address_space(std::size_t more) {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  rlimit limit{};
  limit.rlim_cur = limit.rlim_max = pages * fern::core::page_size() + more;
  return ::setrlimit(RLIMIT_AS, &limit);
}

}  // namespace

TEST_F(StackTest, ShortAddressSpaceIsUsedUpByEverSmallerSlabs) {
  if (fern::testing::under_valgrind()) GTEST_SKIP() << "valgrind's own memory is counted too";
  EXPECT_TRUE(succeeded(in_child([] {
    StackPool& pool = new_pool();
    if (limit_address_space(100 * mib) != 0) return 1;
    std::size_t count = take_all(pool);
    // All but what a last small slab could not take.
    return count >= 98 * mib / StackPool::default_size ? 0 : 2;
  })));
}

TEST_F(StackTest, ASpawnWithoutMemoryIsBadAllocAndEverythingElseGoesOn) {
  if (fern::testing::under_valgrind()) GTEST_SKIP() << "valgrind's own memory is counted too";
  EXPECT_TRUE(succeeded(in_child([] {
    std::vector<fern::Greenlet<int>> some;
    some.reserve(10'000);
    if (limit_address_space(64 * mib) != 0) return 1;
    bool refused = false;
    try {
      for (int i = 0; i < 10'000; ++i) {
        some.push_back(fern::spawn([i] {
          fern::sleep(1ms);
          return i;
        }));
      }
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    if (!refused || fern::Hub::current().greenlets() != some.size()) return 2;
    // The smallest stacks have a slab of their own, for which there is no room either.
    try {
      fern::spawn(fern::SpawnOptions{.name = "small", .stack_size = 8 * mib}, [] {});
      return 3;
    } catch (const std::bad_alloc&) {
    }
    for (auto& each : some) each.join();
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (some[i].get() != static_cast<int>(i)) return 4;
    }
    std::size_t had = some.size();
    some.clear();
    for (std::size_t i = 0; i < had; ++i) some.push_back(fern::spawn([] { return 1; }));
    for (auto& each : some) each.join();
    return 0;
  })));
}
#endif

TEST_F(StackTest, AnIdleHubGivesUnusedMemoryBackAndThenSleeps) {
  fern::core::Hub& hub = fern::core::Hub::current();
  const int count = fern::testing::under_valgrind() ? 1100 : 2000;
  // All at once: one after another they would have one stack.
  for (int i = 0; i < count; ++i) fern::spawn_raw([] { fern::yield(); });
  fern::sleep(2300ms);
  EXPECT_GE(hub.stacks().stats().given_back, static_cast<std::size_t>(count - 1024));
  auto polls = hub.polls();
  fern::sleep(1200ms);
  EXPECT_LE(hub.polls() - polls, 4u);
}
