#include "children.hpp"
#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/local.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using fern::Greenlet;
using fern::GreenletLocal;
using fern::spawn;

using Log = std::vector<std::string>;

// Writes its end into a log.
struct Noted {
  Noted(Log& log, std::string name) : log(&log), name(std::move(name)) {}
  Noted(Noted&&) = delete;
  ~Noted() { log->push_back("end " + name); }
  Log* log;
  std::string name;
};

class LocalTest : public FernTest {};

// gevent: every greenlet begins with a value made from the same arguments.
TEST_F(LocalTest, EachGreenletHasAValueOfItsOwn) {
  GreenletLocal<int> local(5);
  EXPECT_EQ(*local, 5);
  *local = 6;
  spawn([&] {
    EXPECT_EQ(*local, 5);
    *local = 9;
    fern::yield();
    EXPECT_EQ(*local, 9);
  }).join();
  EXPECT_EQ(*local, 6);
  local.reset();
  EXPECT_EQ(*local, 5);
}

TEST_F(LocalTest, WithoutArgumentsAValueBeginsEmpty) {
  GreenletLocal<int> number;
  GreenletLocal<std::string> text;
  EXPECT_EQ(*number, 0);
  EXPECT_TRUE(text->empty());
}

TEST_F(LocalTest, AFunctionMakesEachValueWhenItIsFirstAskedFor) {
  int made = 0;
  GreenletLocal<std::unique_ptr<int>> local([&] { return std::make_unique<int>(++made); });
  EXPECT_EQ(made, 0);
  EXPECT_EQ(**local, 1);
  EXPECT_EQ(**local, 1);
  spawn([&] { EXPECT_EQ(**local, 2); }).join();
  spawn([] {}).join();
  EXPECT_EQ(made, 2);
}

TEST_F(LocalTest, AValueStaysWhereItIs) {
  GreenletLocal<int> first;
  int* at = &*first;
  std::vector<std::unique_ptr<GreenletLocal<int>>> more;
  for (int i = 0; i < 50; ++i) {
    more.push_back(std::make_unique<GreenletLocal<int>>(i));
    EXPECT_EQ(more.back()->get(), i);
  }
  EXPECT_EQ(&*first, at);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(more[i]->get(), i);
}

TEST_F(LocalTest, ValuesGoWithTheirGreenletTheYoungestFirst) {
  Log log;
  GreenletLocal<Noted> a([&] { return Noted(log, "a"); });
  GreenletLocal<Noted> b([&] { return Noted(log, "b"); });
  auto greenlet = spawn([&] {
    b.get();
    a.get();
    log.push_back("return");
  });
  greenlet.join();
  EXPECT_EQ(log, (Log{"return", "end a", "end b"}));
}

TEST_F(LocalTest, ValuesGoWithAKilledGreenletOnItsStack) {
  Log log;
  struct Where {
    ~Where() { *name = fern::current_greenlet().name(); }
    std::string* name;
  };
  std::string name;
  GreenletLocal<Where> where([&] { return Where{&name}; });
  auto greenlet = spawn(fern::SpawnOptions{.name = "owner"}, [&] {
    where.get();
    fern::sleep(fern::Deadline::never());
  });
  fern::yield();
  greenlet.kill();
  EXPECT_EQ(name, "owner");
}

// Joiners see a greenlet whose values are gone.
TEST_F(LocalTest, ADestructorOfAValueMayWait) {
  Log log;
  struct Waits {
    ~Waits() {
      fern::yield();
      log->push_back("destroyed");
    }
    Log* log;
  };
  GreenletLocal<Waits> local([&] { return Waits{&log}; });
  auto greenlet = spawn([&] { local.get(); });
  greenlet.join();
  log.push_back("joined");
  EXPECT_EQ(log, (Log{"destroyed", "joined"}));
}

TEST_F(LocalTest, ADestructorOfAValueMayUseOtherLocals) {
  Log log;
  GreenletLocal<std::string> text("text");
  struct Uses {
    ~Uses() { log->push_back(text->get()); }
    Log* log;
    GreenletLocal<std::string>* text;
  };
  GreenletLocal<Uses> uses([&] { return Uses{&log, &text}; });
  spawn([&] {
    uses.get();
    *text = "changed";
  }).join();
  // The string was destroyed before its user, which therefore made another.
  EXPECT_EQ(log, (Log{"text"}));
}

TEST_F(LocalTest, AnExceptionFromTheFunctionLeavesNoValue) {
  bool fail = true;
  GreenletLocal<int> local([&] {
    if (fail) throw std::runtime_error("no");
    return 1;
  });
  EXPECT_THROW(local.get(), std::runtime_error);
  fail = false;
  EXPECT_EQ(*local, 1);
}

TEST_F(LocalTest, DestroyingTheLocalDestroysTheCallersValueNowAndOthersAtTheirEnd) {
  Log log;
  fern::Event end;
  std::optional<GreenletLocal<Noted>> local(
      std::in_place, [&] { return Noted(log, fern::current_greenlet().name()); });
  auto other = spawn(fern::SpawnOptions{.name = "other"}, [&] {
    local->get();
    end.wait();
  });
  fern::yield();
  local->get();
  local.reset();
  EXPECT_EQ(log, (Log{"end main"}));
  end.set();
  other.join();
  EXPECT_EQ(log, (Log{"end main", "end other"}));
}

// Values of locals that are gone do not pile up in a greenlet that goes on.
TEST_F(LocalTest, ALongLivedGreenletDropsValuesOfLocalsThatAreGone) {
  Log log;
  constexpr int count = 200;
  std::unique_ptr<GreenletLocal<Noted>> local;
  fern::Event next;
  fern::Event done;
  std::size_t before_end = 0;
  auto user = spawn([&] {
    for (int i = 0; i < count; ++i) {
      next.wait();
      next.clear();
      local->get();
      done.set();
    }
    before_end = log.size();
  });
  for (int i = 0; i < count; ++i) {
    local = std::make_unique<GreenletLocal<Noted>>([&] { return Noted(log, "x"); });
    next.set();
    done.wait();
    done.clear();
    local.reset();
  }
  user.join();
  EXPECT_GE(before_end, count / 2U);
  EXPECT_EQ(log.size(), std::size_t{count});
}

TEST_F(LocalTest, TheChildOfAForkHasTheValuesOfTheOneThatForked) {
  fern::GreenletLocal<int> local([] { return 1; });
  *local = 2;
  EXPECT_TRUE(
      fern::testing::succeeded(fern::testing::in_child([&] { return *local == 2 ? 0 : 1; })));
}

TEST_F(LocalTest, AReusedGreenletBeginsAnew) {
  GreenletLocal<int> local(1);
  for (int i = 0; i < 100; ++i) {
    spawn([&] { EXPECT_EQ((*local)++, 1); }).join();
  }
}

class LocalThreadsTest : public LocalTest {
 protected:
  LocalThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(LocalThreadsTest, AThreadsOwnValueGoesWithTheThread) {
  Log log;
  GreenletLocal<Noted> local([&] { return Noted(log, "thread"); });
  std::jthread([&] {
    local.get();
    log.push_back("return");
  }).join();
  EXPECT_EQ(log, (Log{"return", "end thread"}));
}

TEST_F(LocalThreadsTest, MayBeUsedInSeveralHubsAndDestroyedBeforeTheyEnd) {
  std::atomic<int> alive{0};
  struct Counted {
    explicit Counted(std::atomic<int>& alive) : alive(&alive) { ++alive; }
    Counted(Counted&&) = delete;
    ~Counted() { --*alive; }
    std::atomic<int>* alive;
  };
  auto local = std::make_unique<GreenletLocal<Counted>>([&] { return Counted(alive); });
  std::atomic<int> touched{0};
  fern::Event end;
  auto hub = [&] {
    local->get();
    std::vector<Greenlet<void>> all;
    for (int i = 0; i < 20; ++i) {
      all.push_back(spawn([&] {
        local->get();
        ++touched;
        end.wait();
      }));
    }
    fern::joinall(all);
  };
  {
    std::jthread one(hub);
    std::jthread two(hub);
    while (touched < 40) fern::yield();
    EXPECT_EQ(alive, 42);
    local.reset();
    end.set();
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
