// The limits, -O2: what the machine does when nobody schedules. Boost.Context 1.81's bare jump,
// alone and round over many stacks; one compare-exchange and one exchange; a guard page and the
// first touch of a fresh stack; libuv 1.44.2's timers. Beside them Boost.Context's own fiber.
#include <sys/mman.h>
#include <uv.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <cstdlib>
#include <random>
#include <vector>

#include "limits.hpp"

namespace {

namespace context = boost::context::detail;

void fiber(benchmark::State& state) {
  std::int64_t counted = 0;
  boost::context::fiber other([&](boost::context::fiber&& main) {
    for (;;) {
      ++counted;
      main = std::move(main).resume();
    }
    return std::move(main);
  });
  for (auto _ : state) other = std::move(other).resume();
  auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(fiber);

// ---- round over many stacks: each jumps straight to the next one of a ring

// In the order in which they run. Who runs is said here and not on the stacks: what the processor
// has to fetch from the next stack then waits for nothing on this one.
struct Ring {
  std::vector<context::fcontext_t> stacks;
  std::size_t running = 0;
  std::int64_t left = 0;
  context::fcontext_t home = nullptr;
  context::fcontext_t* leaving = nullptr;  // where whoever jumps is to be found
};
Ring ring;
// How far ahead a frame is fetched. Tried and slower: nothing fetched, one or two ahead at random.
constexpr std::size_t ahead = 4;

void go_round(context::transfer_t from) {
  from = context::jump_fcontext(from.fctx, nullptr);  // made: wait for the start
  for (;;) {
    *ring.leaving = from.fctx;
    ring.leaving = &ring.stacks[ring.running];
    if (--ring.left <= 0) {
      from = context::jump_fcontext(ring.home, nullptr);
      continue;
    }
    if (++ring.running == ring.stacks.size()) ring.running = 0;
    if (const std::size_t later = ring.running + ahead; later < ring.stacks.size()) {
      const auto* frame = static_cast<const char*>(ring.stacks[later]);
      __builtin_prefetch(frame);
      __builtin_prefetch(frame + 64);
    }
    from = context::jump_fcontext(ring.stacks[ring.running], nullptr);
  }
}

void jump_round(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bool random = state.range(1) != 0;
  constexpr std::size_t stride = 68 * 1024;
  auto* stacks = static_cast<char*>(mmap(nullptr, count * stride, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stacks == MAP_FAILED) {
    state.SkipWithError("no address space");
    return;
  }
  madvise(stacks, count * stride, MADV_NOHUGEPAGE);
  ring = {};
  for (std::size_t i = 0; i < count; ++i) {
    // Neither the stride nor the places in the pages are all alike to the caches. Tried and slower:
    // a stride of 64 KiB.
    char* top = stacks + (i + 1) * stride - i % 16 * 128;
    const auto made = context::make_fcontext(top, stride / 2, go_round);
    ring.stacks.push_back(context::jump_fcontext(made, nullptr).fctx);
  }
  if (random) std::shuffle(ring.stacks.begin(), ring.stacks.end(), std::minstd_rand(1));
  constexpr std::int64_t rounds = 20;
  const auto jumps = static_cast<std::int64_t>(count) * rounds;
  std::int64_t wrong = 0;
  auto once = [&] {
    ring.left = jumps;
    ring.running = 0;
    ring.leaving = &ring.home;
    *ring.leaving = context::jump_fcontext(ring.stacks[0], nullptr).fctx;
    wrong += ring.left;
  };
  once();
  for (auto _ : state) once();
  rows::conclude(state, static_cast<std::int64_t>(state.iterations()) * jumps, wrong, 0);
  munmap(stacks, count * stride);
}
BENCHMARK(jump_round)->Args({10'000, 0})->Args({100'000, 0})->Args({10'000, 1})->Args({100'000, 1});

// What so many guarded stacks cost before anybody runs on them: a guard page and a page touched.
void fresh_stack(benchmark::State& state) {
  constexpr std::size_t stride = 260 * 1024;  // as Fern's
  constexpr int guard_install = 102;          // MADV_GUARD_INSTALL
  const auto count = static_cast<std::size_t>(state.range(0));
  std::int64_t counted = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto* stacks = static_cast<char*>(mmap(nullptr, count * stride, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks == MAP_FAILED) {
      state.SkipWithError("no address space");
      return;
    }
    madvise(stacks, count * stride, MADV_NOHUGEPAGE);
    state.ResumeTiming();
    for (std::size_t i = 0; i < count; ++i) {
      char* bottom = stacks + i * stride;
      if (madvise(bottom, 4096, guard_install) < 0) mprotect(bottom, 4096, PROT_NONE);
      static_cast<volatile char*>(bottom)[stride - 64] = 1;
      ++counted;
    }
    state.PauseTiming();
    munmap(stacks, count * stride);
    state.ResumeTiming();
  }
  rows::conclude(state, counted, counted,
                 static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(count));
}
BENCHMARK(fresh_stack)->Arg(100'000)->Iterations(1);

void uv_timer_start_stop(benchmark::State& state) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  std::vector<uv_timer_t> pending(static_cast<std::size_t>(state.range(0)));
  std::uint64_t later = 1'000'000;
  for (auto& each : pending) {
    uv_timer_init(&loop, &each);
    uv_timer_start(&each, [](uv_timer_t*) {}, later++ % 2'000'000, 0);
  }
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  for (auto _ : state) {
    uv_timer_start(&timer, [](uv_timer_t*) {}, 500'000, 0);
    uv_timer_stop(&timer);
  }
  rows::conclude(state, static_cast<std::int64_t>(state.iterations()), 0, 0);
  for (auto& each : pending) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
}
BENCHMARK(uv_timer_start_stop)->Arg(1'000'000);

}  // namespace

BENCHMARK(limits::jump)->Name("jump");
BENCHMARK(limits::cas_xchg)->Name("cas_xchg");

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
