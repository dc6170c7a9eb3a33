// A kill meets its target in every state, and in every way of waiting for the end.
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;

namespace {

// A greenlet in some state, and what belongs to it.
struct Target {
  fern::Greenlet<int> greenlet;
  fern::Event event;
  bool killed = true;    // how a kill leaves it
  bool may_run = false;  // before a kill from another thread arrives
};

struct State {
  const char* name;
  bool at_once;  // a kill in the same thread needs no turn of its own
  std::function<void(Target&)> make;
};

const std::vector<State> states{
    {"unstarted", true,
     [](Target& target) {
       target.greenlet = fern::spawn([] { return 1; });
       target.may_run = true;
     }},
    {"delayed", true,
     [](Target& target) { target.greenlet = fern::spawn_later(1h, [] { return 1; }); }},
    {"parked", false,
     [](Target& target) {
       target.greenlet = fern::spawn([&] {
         target.event.wait();
         return 1;
       });
       fern::yield();
     }},
    {"asleep", false,
     [](Target& target) {
       target.greenlet = fern::spawn([] {
         fern::sleep(1h);
         return 1;
       });
       fern::yield();
     }},
    {"woken", false,
     [](Target& target) {
       target.greenlet = fern::spawn([&] {
         target.event.wait();
         fern::sleep(1h);
         return 1;
       });
       fern::yield();
       target.event.set();
     }},
    {"yielded", false,
     [](Target& target) {
       target.greenlet = fern::spawn([]() -> int {
         for (;;) fern::yield();
       });
       fern::yield();
     }},
    {"shielded", false,
     [](Target& target) {
       target.greenlet = fern::spawn([] {
         {
           fern::ShieldKill shield;
           fern::sleep(1ms);
         }
         fern::sleep(1h);
         return 1;
       });
       fern::yield();
     }},
    {"unwinding", false,
     [](Target& target) {
       struct Waits {
         ~Waits() { fern::sleep(1ms); }
       };
       target.greenlet = fern::spawn([] {
         try {
           Waits waits;
           throw std::runtime_error("its own");
         } catch (const std::runtime_error&) {
         }
         fern::sleep(1h);
         return 1;
       });
       fern::yield();
     }},
    {"ended", true,
     [](Target& target) {
       target.greenlet = fern::spawn([] { return 1; });
       target.greenlet.join();
       target.killed = false;
     }},
};

struct Way {
  const char* name;
  fern::KillOptions options;
  bool waits;  // for as long as it takes
};

std::vector<Way> ways() {
  return {{"blocking", {}, true},
          {"blocking for long", {.deadline = 1h}, true},
          {"blocking for no time", {.deadline = 0s}, false},
          {"not blocking", {.block = false}, false}};
}

void expect_end(const Target& target) {
  EXPECT_TRUE(target.greenlet.join());
  EXPECT_EQ(target.greenlet.killed(), target.killed);
  EXPECT_TRUE(target.greenlet.successful());
  EXPECT_EQ(target.greenlet.value() == nullptr, target.killed);
}

class KillStates : public FernTest {
 protected:
  KillStates() { may_keep_heap("GoogleTest's traces, and hubs"); }
};

}  // namespace

TEST_F(KillStates, EachEndsByAKillFromItsOwnThread) {
  for (const State& state : states) {
    for (const Way& way : ways()) {
      SCOPED_TRACE(std::string(state.name) + ", " + way.name);
      Target target;
      state.make(target);
      EXPECT_EQ(target.greenlet.kill(way.options), way.waits || state.at_once);
      expect_end(target);
      EXPECT_TRUE(target.greenlet.kill(way.options));
    }
  }
}

TEST_F(KillStates, EachEndsByAKillFromAnotherThread) {
  for (const State& state : states) {
    for (const Way& way : ways()) {
      SCOPED_TRACE(std::string(state.name) + ", " + way.name);
      Target target;
      state.make(target);
      fern::Event done;
      std::thread killer([&] {
        bool ended = fern::AnyGreenlet(target.greenlet).kill(way.options);
        EXPECT_TRUE(ended || !way.waits);
        done.set();
      });
      done.wait();
      killer.join();
      target.greenlet.join();  // a kill that did not wait may be on its way yet
      if (target.may_run) target.killed = target.greenlet.killed();
      expect_end(target);
    }
  }
}

TEST_F(KillStates, EachTellsItsLinksThoseMadeBeforeAndThoseMadeAfter) {
  for (const State& state : states) {
    SCOPED_TRACE(state.name);
    Target target;
    state.make(target);
    std::string log;
    auto add = [&](const char* name) {
      target.greenlet.link([&log, name](fern::AnyGreenlet ended) {
        EXPECT_TRUE(ended.ready());
        log += name;
      });
      target.greenlet.link_value([&log, name](fern::AnyGreenlet) { log += name; });
      target.greenlet.link_exception([&log](fern::AnyGreenlet) { log += "wrong"; });
    };
    add("a");
    target.greenlet.kill();
    add("b");
    fern::yield();
    fern::yield();
    EXPECT_EQ(log, "aabb");
  }
}

TEST_F(KillStates, EachButTheEndedFailsByAnotherExceptionOfTheKillers) {
  for (const State& state : states) {
    SCOPED_TRACE(state.name);
    Target target;
    state.make(target);
    auto said = std::make_exception_ptr(std::out_of_range("far"));
    target.greenlet.kill({.exception = said});
    if (target.killed) {
      EXPECT_THROW(target.greenlet.get(), std::out_of_range);
      EXPECT_EQ(target.greenlet.exception(), said);
      EXPECT_FALSE(target.greenlet.killed());
    } else {
      EXPECT_EQ(target.greenlet.get(), 1);
    }
  }
}

TEST_F(KillStates, TheErrorOfAReaderNamesWhoWasKilled) {
  auto named = fern::spawn(fern::SpawnOptions{.name = "worker"}, [] { fern::sleep(1h); });
  auto plain = fern::spawn([] {});
  std::string plain_name = plain.name();
  fern::yield();
  auto unstarted = fern::spawn(fern::SpawnOptions{.name = "idler"}, [] {});
  unstarted.kill();
  named.kill();
  auto what = [](const fern::AnyGreenlet& greenlet) {
    try {
      greenlet.get();
    } catch (const fern::GreenletKilled& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(what(named), "greenlet worker was killed");
  EXPECT_EQ(what(unstarted), "greenlet idler was killed");
  // The name and the id stay as long as a handle.
  EXPECT_EQ(named.name(), "worker");
  EXPECT_EQ(plain.name(), plain_name);
  EXPECT_NE(named.id(), unstarted.id());
}

TEST_F(KillStates, OneselfEndsInEveryWay) {
  std::string log;
  auto self = [&](const char* name, fern::KillOptions options) {
    auto greenlet = fern::spawn([&log, name, options] {
      log += name;
      EXPECT_FALSE(fern::current_greenlet().kill(options));
      log += "+";  // only a kill that does not block comes back
      fern::yield();
      log += "never";
    });
    greenlet.join();
    EXPECT_TRUE(greenlet.killed());
  };
  self("a", {});
  self("b", {.deadline = 1h});
  self("c", {.deadline = 0s});
  self("d", {.block = false});
  EXPECT_EQ(log, "abcd+");
}

TEST_F(KillStates, TheThreadThatKillsAndTheOneThatEndsMayMeet) {
  const int rounds = fern::testing::under_valgrind() ? 20 : 300;
  std::vector<fern::AnyGreenlet> all;
  for (int i = 0; i < rounds; ++i) {
    all.push_back(fern::spawn([i] { fern::sleep(std::chrono::microseconds(i)); }));
  }
  fern::Event done;
  std::thread killer([&, all] {
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(i % 2 == 0 ? all[i].kill() : !all[i].kill({.block = false}) || all[i].ready());
    }
    done.set();
  });
  done.wait();
  killer.join();
  fern::joinall(all);
  for (const auto& greenlet : all) EXPECT_TRUE(greenlet.successful());
}
