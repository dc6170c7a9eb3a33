#pragma once

// What the benchmarks of a noun measure themselves by, in the same program and so in the same mood
// of the machine.

#include <benchmark/benchmark.h>
#include <sched.h>

#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <memory>

namespace limits {

// Reports the time of one item, and fails the row if what was counted is not what it must be.
inline void conclude(benchmark::State& state, std::int64_t items, std::int64_t counted,
                     std::int64_t expected) {
  state.SetItemsProcessed(items);
  if (counted != expected) state.SkipWithError("the count is wrong");
}

// The raw jump between two stacks.
inline std::int64_t jumps = 0;

inline void jump_back(boost::context::detail::transfer_t from) {
  for (;;) {
    ++jumps;
    from = boost::context::detail::jump_fcontext(from.fctx, nullptr);
  }
}

inline void raw_jump(benchmark::State& state) {
  namespace context = boost::context::detail;
  constexpr std::size_t size = 64 * 1024;
  const auto stack = std::make_unique<char[]>(size);
  jumps = 0;
  context::transfer_t other{context::make_fcontext(stack.get() + size, size, jump_back), nullptr};
  for (auto _ : state) {
    other = context::jump_fcontext(other.fctx, nullptr);
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, jumps, rounds);
}

// The two atomic operations without which nobody can lock and unlock.
inline void compare_exchange(benchmark::State& state) {
  std::atomic<std::uint64_t> word{0};
  std::int64_t counted = 0;
  for (auto _ : state) {
    std::uint64_t free = 0;
    counted += word.compare_exchange_strong(free, 1, std::memory_order_acquire) ? 1 : 0;
    word.exchange(0, std::memory_order_release);
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds, counted, rounds);
}

// Binds the process, so that no row gains by a second processor.
inline void bind_to_one_processor() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &allowed)) continue;
    CPU_ZERO(&allowed);
    CPU_SET(i, &allowed);
    ::sched_setaffinity(0, sizeof allowed, &allowed);
    return;
  }
}

}  // namespace limits
