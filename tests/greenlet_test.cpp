// Spawning greenlets: order, arguments, results, handles. How they end: greenlet_end_test.cpp.
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "core/context.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

using GreenletTest = FernTest;

struct Log {
  std::string text;
  void operator()(const std::string& what) { text += what + ' '; }
};

}  // namespace

TEST_F(GreenletTest, SpawnRunsNothingUntilTheSpawnerWaitsAndThenInOrder) {
  Log log;
  auto child = [&](std::string name) { log(name); };
  auto parent = [&](std::string name) {
    log(name);
    fern::spawn_raw(child, name + "'");
    log(name + "-end");
  };
  fern::spawn_raw(parent, "a");
  fern::spawn_raw(parent, "b");
  fern::spawn_raw(child, "c");
  log("before");
  fern::yield();
  log("after");
  fern::yield();
  log("end");
  EXPECT_EQ(log.text, "before a a-end b b-end c after a' b' end ");
}

TEST_F(GreenletTest, YieldIsExactRoundRobin) {
  Log log;
  std::vector<fern::AnyGreenlet> all;
  for (const char* name : {"a", "b", "c"}) {
    all.push_back(fern::spawn([&log, name] {
      for (int i = 0; i < 3; ++i) {
        log(name + std::to_string(i));
        fern::yield();
      }
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(log.text, "a0 b0 c0 a1 b1 c1 a2 b2 c2 ");
}

TEST_F(GreenletTest, SleepersWakeInOrderOfDeadlineAndTiesInOrderOfStart) {
  Log log;
  std::vector<fern::AnyGreenlet> all;
  auto soon = fern::Deadline(60ms);
  auto sleeper = [&](const char* name, fern::Deadline until) {
    all.push_back(fern::spawn([&log, name, until] {
      fern::sleep(until);
      log(name);
    }));
  };
  sleeper("80ms", 80ms);
  sleeper("60ms", soon);
  sleeper("60ms-too", soon);
  sleeper("negative", -1s);
  sleeper("zero", 0s);
  fern::joinall(all);
  EXPECT_EQ(log.text, "negative zero 60ms 60ms-too 80ms ");
}

TEST_F(GreenletTest, SleepLastsNoLessThanAskedFor) {
  for (auto duration : {1us, 50us, 999us, 3001us}) {
    auto began = std::chrono::steady_clock::now();
    fern::sleep(duration);
    EXPECT_GE(std::chrono::steady_clock::now() - began, duration);
  }
}

TEST_F(GreenletTest, SpawnLaterComesAfterWhatIsReadyEvenWithoutADelay) {
  Log log;
  auto say = [&](const char* name) { log(name); };
  auto a = fern::spawn_later(0ms, say, "later0");
  auto b = fern::spawn(say, "spawn");
  auto c = fern::spawn_later(5ms, say, "later5");
  fern::spawn_raw(say, "raw");
  auto d = fern::spawn(say, "spawn2");
  auto e = fern::spawn_later(-1ms, say, "earlier");
  fern::joinall({a, b, c, d, e});
  EXPECT_EQ(log.text, "spawn raw spawn2 later0 earlier later5 ");
}

TEST_F(GreenletTest, SpawnLaterForEverNeverStarts) {
  auto never = fern::spawn_later(std::chrono::hours::max(), [] { return 1; });
  EXPECT_FALSE(never.join(1ms));
  EXPECT_TRUE(never.started());
  EXPECT_TRUE(never.cancel());
}

TEST_F(GreenletTest, AFinishedGreenletsJoinerComesAfterWhatWasReady) {
  Log log;
  auto first = fern::spawn([&] { log("end"); });
  fern::spawn_raw([&] { log("next"); });
  first.join();
  log("joined");
  EXPECT_EQ(log.text, "end next joined ");
}

TEST_F(GreenletTest, ArgumentsAreCopiedOrMovedBeforeSpawnReturns) {
  std::string text = "as it was";
  auto copied = fern::spawn([](const std::string& s) { return s; }, text);
  auto moved = fern::spawn([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(7));
  auto referred = fern::spawn([](std::string& s) { s += "!"; }, std::ref(text));
  text = "changed";
  EXPECT_EQ(copied.get(), "as it was");
  EXPECT_EQ(moved.get(), 7);
  referred.get();
  EXPECT_EQ(text, "changed!");
}

namespace {

int twice(int x) { return 2 * x; }

struct Counter {
  int value = 0;
  int add(int x) { return value += x; }
};

struct Uncopyable {
  std::unique_ptr<int> value;
  int operator()() const { return *value; }
};

}  // namespace

TEST_F(GreenletTest, WhateverCanBeInvokedCanBeSpawned) {
  Counter counter;
  EXPECT_EQ(fern::spawn(twice, 4).get(), 8);
  EXPECT_EQ(fern::spawn(&twice, 5).get(), 10);
  EXPECT_EQ(fern::spawn(&Counter::add, &counter, 3).get(), 3);
  EXPECT_EQ(fern::spawn(&Counter::value, &counter).get(), 3);
  EXPECT_EQ(fern::spawn(std::function<int()>([] { return 1; })).get(), 1);
  EXPECT_EQ(fern::spawn(Uncopyable{std::make_unique<int>(9)}).get(), 9);
  fern::spawn_raw(twice, 1);
  fern::yield();
}

TEST_F(GreenletTest, ResultsMayBeVoidMoveOnlyConstOrReferences) {
  int target = 5;
  fern::Greenlet<void> nothing = fern::spawn([] {});
  nothing.get();
  fern::Greenlet<std::unique_ptr<int>> only = fern::spawn([] { return std::make_unique<int>(6); });
  EXPECT_EQ(*only.get(), 6);
  std::unique_ptr<int> taken = std::move(only).get();
  EXPECT_EQ(*taken, 6);
  fern::Greenlet<int> copied = fern::spawn([&]() -> int& { return target; });
  copied.join();
  target = 0;
  EXPECT_EQ(copied.get(), 5);
  auto constant = fern::spawn([]() -> const std::string { return "fixed"; });
  EXPECT_EQ(constant.get(), "fixed");
  EXPECT_EQ(*constant.value(), "fixed");
}

TEST_F(GreenletTest, SeveralJoinersShareOneResult) {
  auto source = fern::spawn([] {
    fern::sleep(1ms);
    return std::string("shared");
  });
  std::vector<fern::Greenlet<const std::string*>> readers;
  for (int i = 0; i < 5; ++i) {
    readers.push_back(
        fern::spawn([source] { return const_cast<const std::string*>(&source.get()); }));
  }
  for (auto& reader : readers) EXPECT_EQ(reader.get(), &source.get());
}

TEST_F(GreenletTest, AResultLivesAsLongAsAHandle) {
  auto alive = std::make_shared<int>(1);
  std::weak_ptr<int> watch = alive;
  auto greenlet = fern::spawn([alive = std::move(alive)]() mutable { return std::move(alive); });
  fern::AnyGreenlet second = greenlet;
  greenlet.join();
  greenlet = {};
  EXPECT_FALSE(watch.expired());
  second = {};
  EXPECT_TRUE(watch.expired());
}

TEST_F(GreenletTest, ACallableIsDestroyedWhenItsGreenletEndsNotWhenItsHandleGoes) {
  auto held = std::make_shared<int>(1);
  auto greenlet = fern::spawn([held] {});
  EXPECT_EQ(held.use_count(), 2);
  greenlet.join();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(GreenletTest, LargeAndOveralignedCallablesBringTheirOwnRoom) {
  may_keep_heap("pools of such stacks");
  std::array<char, 200'000> large{};
  large[199'999] = 42;
  EXPECT_EQ(fern::spawn([large] { return large[199'999]; }).get(), 42);
  struct alignas(4096) Aligned {
    char text[5000] = "aligned";
    bool well() const { return reinterpret_cast<std::uintptr_t>(this) % 4096 == 0; }
  };
  EXPECT_TRUE(fern::spawn([aligned = Aligned()] { return aligned.well(); }).get());
  EXPECT_TRUE(fern::spawn(fern::SpawnOptions{.stack_size = 1}, [aligned = Aligned()] {
                return aligned.well();
              }).get());
  EXPECT_TRUE(fern::spawn([] { return Aligned(); }).get().well());
}

TEST_F(GreenletTest, ACallableThatCannotBeCopiedLeavesNothingBehind) {
  struct Throws {
    Throws() = default;
    Throws(const Throws&) { throw std::runtime_error("no copy"); }
    void operator()() const {}
  };
  Throws original;
  auto before = fern::Hub::current().greenlets();
  EXPECT_THROW(fern::spawn(fern::SpawnOptions{.name = "never"}, original), std::runtime_error);
  EXPECT_THROW(fern::spawn_later(1ms, original), std::runtime_error);
  EXPECT_THROW(fern::spawn_raw(original), std::runtime_error);
  EXPECT_EQ(fern::Hub::current().greenlets(), before);
}

TEST_F(GreenletTest, ACallablesCopyMayItselfWait) {
  struct Slow {
    Slow() = default;
    Slow(const Slow&) { fern::sleep(1ms); }
    int operator()() const { return 3; }
  };
  Slow original;
  EXPECT_EQ(fern::spawn(original).get(), 3);
  auto spawner = fern::spawn([&] { fern::spawn(original); });
  fern::yield();
  EXPECT_TRUE(spawner.kill());
}

TEST_F(GreenletTest, NamesAreTheGivenOnesOrMadeOfTheId) {
  auto named = fern::spawn(fern::SpawnOptions{.name = "worker"}, [] {});
  auto plain = fern::spawn([] { return fern::current_greenlet().name(); });
  EXPECT_EQ(named.name(), "worker");
  EXPECT_EQ(plain.get(), "Greenlet-" + std::to_string(plain.id()));
  plain.set_name("renamed");
  EXPECT_EQ(plain.name(), "renamed");
  EXPECT_EQ(fern::current_greenlet().name(), "main");
  EXPECT_EQ(fern::current_greenlet().id(), 0u);
}

TEST_F(GreenletTest, IdsAreUniqueAmongTheLiving) {
  std::set<std::uint64_t> ids;
  std::vector<fern::AnyGreenlet> all;
  for (int i = 0; i < 500; ++i) all.push_back(fern::spawn([] { fern::sleep(1h); }));
  for (auto& greenlet : all) ids.insert(greenlet.id());
  EXPECT_EQ(ids.size(), all.size());
  fern::killall(all);
}

TEST_F(GreenletTest, HandlesCopyCompareAndHash) {
  auto a = fern::spawn([] { return 1; });
  auto b = fern::spawn([] { return 2; });
  fern::AnyGreenlet copy = a;
  EXPECT_TRUE(copy == a);
  EXPECT_FALSE(copy == b);
  EXPECT_TRUE((a < b) != (b < a));
  std::unordered_set<fern::AnyGreenlet> set{a, b, copy};
  EXPECT_EQ(set.size(), 2u);
  EXPECT_EQ(std::hash<fern::Greenlet<int>>()(a), std::hash<fern::AnyGreenlet>()(copy));
  fern::AnyGreenlet moved = std::move(copy);
  EXPECT_TRUE(moved == a);
  fern::AnyGreenlet& same = moved;
  moved = same;
  EXPECT_TRUE(moved.valid());
  fern::joinall({a, b});
}

TEST_F(GreenletTest, AHandleOfNothingIsMisuse) {
  fern::Greenlet<int> nothing;
  EXPECT_FALSE(nothing.valid());
  EXPECT_FALSE(nothing.ready());
  EXPECT_FALSE(nothing.started());
  EXPECT_FALSE(nothing.successful());
  EXPECT_EQ(nothing.exception(), nullptr);
  EXPECT_EQ(nothing.value(), nullptr);
  EXPECT_THROW(nothing.get(), fern::GreenletError);
  EXPECT_THROW(nothing.join(), fern::GreenletError);
  EXPECT_THROW(nothing.kill(), fern::GreenletError);
  EXPECT_THROW(nothing.link([](auto) {}), fern::GreenletError);
  EXPECT_THROW(nothing.name(), fern::GreenletError);
  EXPECT_FALSE(nothing.unlink(1));
}

TEST_F(GreenletTest, CurrentGreenletIsTheOneThatAsks) {
  fern::AnyGreenlet seen;
  auto greenlet = fern::spawn([&] { seen = fern::current_greenlet(); });
  greenlet.join();
  EXPECT_EQ(seen, greenlet);
  EXPECT_FALSE(fern::current_greenlet().ready());
}

TEST_F(GreenletTest, StackUsedTellsHowDeepItWas) {
  may_keep_heap("a pool of such stacks");
  auto shallow = fern::spawn(fern::SpawnOptions{.stack_size = 1 << 20}, [] {});
  shallow.join();
  std::size_t little = shallow.stack_used();
  shallow = {};
  auto deep = fern::spawn(fern::SpawnOptions{.stack_size = 1 << 20}, [] {
    volatile char large[500'000];
    for (std::size_t i = 0; i < sizeof large; i += 1000) large[i] = 1;
  });
  deep.join();
  EXPECT_LT(little, 200'000u);
#ifndef FERN_ASAN
  // ASan may have it elsewhere.
  EXPECT_GE(deep.stack_used(), 500'000u);
#endif
  EXPECT_EQ(fern::current_greenlet().stack_used(), 0u);
}

TEST_F(GreenletTest, AWarmSpawnAndJoinAllocatesNothing) {
  int ran = 0;
  auto once = [&] {
    fern::spawn([&] { ++ran; }).join();
    fern::spawn([&](int a, double b) { return a * b; }, 2, 1.5).get();
    fern::spawn_raw([&] { ++ran; });
    fern::yield();
    fern::sleep(1us);
  };
  for (int i = 0; i < 5; ++i) once();
  auto before = fern::testing::heap_allocations();
  for (int i = 0; i < 100; ++i) once();
  EXPECT_EQ(fern::testing::heap_allocations(), before);
  EXPECT_EQ(ran, 210);
}
