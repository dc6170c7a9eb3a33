#pragma once

// What switching and locking are measured by.

#include <benchmark/benchmark.h>

#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <memory>

#include "rows.hpp"

namespace limits {

inline std::int64_t jumps = 0;

inline void jump_back(boost::context::detail::transfer_t from) {
  for (;;) {
    ++jumps;
    from = boost::context::detail::jump_fcontext(from.fctx, nullptr);
  }
}

// The raw jump between two stacks.
inline void jump(benchmark::State& state) {
  namespace context = boost::context::detail;
  constexpr std::size_t size = 64 * 1024;
  const auto stack = std::make_unique<char[]>(size);
  jumps = 0;
  context::transfer_t other{context::make_fcontext(stack.get() + size, size, jump_back), nullptr};
  for (auto _ : state) {
    other = context::jump_fcontext(other.fctx, nullptr);
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * 2, jumps, rounds);
}

// The two atomic operations without which nobody can lock and unlock.
inline void cas_xchg(benchmark::State& state) {
  std::atomic<std::uint64_t> word{0};
  std::int64_t counted = 0;
  for (auto _ : state) {
    std::uint64_t free = 0;
    counted += word.compare_exchange_strong(free, 1, std::memory_order_acquire) ? 1 : 0;
    word.exchange(0, std::memory_order_release);
  }
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}

}  // namespace limits
