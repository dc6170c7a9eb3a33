// What Python's greenlet does, restated for RawGreenlet: the same order, the same values. README.md
// beside this file lists the scenarios and says where C++ differs.
#include <fern/debug.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/local.hpp>
#include <fern/raw_greenlet.hpp>
#include <fern/value.hpp>

#include <exception>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "support.hpp"

using fern::getcurrent;
using fern::GreenletError;
using fern::GreenletExit;
using fern::RawGreenlet;
using fern::Value;

namespace {

using Pair = std::tuple<int, int>;

class GreenletConformance : public FernTest {
 protected:
  template <class... Parts>
  void log(const Parts&... parts) {
    std::ostringstream line;
    ((line << parts), ...);
    lines.push_back(line.str());
  }
  std::vector<std::string> lines;
};

using Lines = std::vector<std::string>;

// A value as Python would print it.
std::string show(const Value& value) {
  if (value.empty()) return "()";
  if (auto* number = value.get_if<int>()) return std::to_string(*number);
  if (auto* text = value.get_if<std::string>()) return *text;
  if (auto* text = value.get_if<const char*>()) return *text;
  if (auto* exit = value.get_if<GreenletExit>()) return std::string("exit:") + exit->what();
  auto [a, b] = value.get<Pair>();
  return "(" + std::to_string(a) + ", " + std::to_string(b) + ")";
}

// What switching there throws, or the value.
std::string outcome(const std::function<Value()>& f) {
  try {
    return show(f());
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

// G01
TEST_F(GreenletConformance, PassesValuesBothWaysAndTheResultToTheParent) {
  RawGreenlet g([&](int a, int b) {
    log("start ", a, " ", b);
    log("got ", show(getcurrent().parent().switch_to("x1")));
    log("got ", show(getcurrent().parent().switch_to(1, 2)));
    return "fin";
  });
  log(g.active(), g.dead());
  log(show(g.switch_to(1, 2)));
  log(g.active(), g.dead());
  log(show(g.switch_to()));
  log(show(g.switch_to(7, 8)));
  log(g.active(), g.dead());
  // It has ended: the arguments come back from its parent, which is the caller.
  log(show(g.switch_to()), " ", show(g.switch_to(5)), " ", show(g.switch_to(5, 6)));
  EXPECT_EQ(lines, (Lines{"00", "start 1 2", "x1", "10", "got ()", "(1, 2)", "got (7, 8)", "fin",
                          "01", "() 5 (5, 6)"}));
}

// G02
TEST_F(GreenletConformance, GivesTheExceptionThatEndsItToTheParent) {
  RawGreenlet g([] { throw std::runtime_error("boom"); });
  EXPECT_EQ(outcome([&] { return g.switch_to(); }), "boom");
  EXPECT_TRUE(g.dead());
}

// G03
TEST_F(GreenletConformance, ReturnsTheGreenletExitThatEndsIt) {
  RawGreenlet leaves([] { throw GreenletExit("bye"); });
  EXPECT_EQ(show(leaves.switch_to()), "exit:bye");
  auto suspend = [] { getcurrent().parent().switch_to(); };
  RawGreenlet g(suspend);
  g.switch_to();
  EXPECT_EQ(show(g.throw_in()), "exit:");
  EXPECT_TRUE(g.dead());
  RawGreenlet h(suspend);
  h.switch_to();
  EXPECT_EQ(show(h.throw_in(std::make_exception_ptr(GreenletExit("5")))), "exit:5");
}

// G04
TEST_F(GreenletConformance, ThrownIntoBeforeItBeganEndsWithoutHavingRun) {
  RawGreenlet g([&] { log("never"); });
  EXPECT_EQ(show(g.throw_in()), "exit:");
  EXPECT_TRUE(g.dead());
  EXPECT_FALSE(g.active());
  RawGreenlet h([&] { log("never"); });
  EXPECT_EQ(outcome([&] { return h.throw_in(std::make_exception_ptr(std::runtime_error("v"))); }),
            "v");
  EXPECT_TRUE(h.dead());
  EXPECT_EQ(lines, Lines{});
}

// G05
TEST_F(GreenletConformance, ThrowsForOneThatHasEndedInTheParent) {
  RawGreenlet g([] { return 1; });
  g.switch_to();
  EXPECT_EQ(outcome([&] { return g.throw_in(std::make_exception_ptr(std::runtime_error("v"))); }),
            "v");
  EXPECT_EQ(show(g.throw_in(std::make_exception_ptr(GreenletExit("late")))), "exit:late");
  EXPECT_EQ(show(g.throw_in()), "exit:");
}

// G06
TEST_F(GreenletConformance, LettingGoOfASuspendedOneUnwindsItAtOnce) {
  auto main = getcurrent();
  RawGreenlet g([&] {
    try {
      getcurrent().parent().switch_to("s");
    } catch (const GreenletExit& exit) {
      log(exit.what(), "; parent is main: ", getcurrent().parent() == main);
    }
    log("finally");
  });
  log(show(g.switch_to()));
  log("drop");
  g = {};
  log("after drop");
  RawGreenlet unstarted([&] { log("never"); });
  unstarted = {};
  log("unstarted dropped");
  EXPECT_EQ(lines, (Lines{"s", "drop", "nobody holds it; parent is main: 1", "finally",
                          "after drop", "unstarted dropped"}));
}

// G07
TEST_F(GreenletConformance, PrintsAnExceptionOfThatUnwindingAndGoesOn) {
  RawGreenlet g(fern::SpawnOptions{.name = "messy"}, [] {
    try {
      getcurrent().parent().switch_to();
    } catch (const GreenletExit&) {
      throw std::runtime_error("in finally");
    }
  });
  g.switch_to();
  ::testing::internal::CaptureStderr();
  g = {};
  log("continued");
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "messy") && says(said, "in finally")) << said;
  EXPECT_EQ(lines, Lines{"continued"});
}

// G08
TEST_F(GreenletConformance, SurvivesThatUnwindingIfItCatchesItAndSomebodyHoldsItAgain) {
  RawGreenlet kept;
  RawGreenlet g([&] {
    try {
      getcurrent().parent().switch_to("s");
    } catch (const GreenletExit&) {
      kept = getcurrent();
      log("again ", show(getcurrent().parent().switch_to("survived")));
    }
    return "end";
  });
  log(show(g.switch_to()));
  g = {};
  log("after drop ", kept.dead());
  log(show(kept.switch_to("x")));
  log("dead ", kept.dead());
  EXPECT_EQ(lines, (Lines{"s", "after drop 0", "again x", "end", "dead 1"}));
}

// G09
TEST_F(GreenletConformance, UnwindsWithWhoeverLetItGoAsItsParent) {
  RawGreenlet dropper;
  RawGreenlet g([&] {
    try {
      getcurrent().parent().switch_to();
    } catch (const GreenletExit&) {
      log("parent is dropper: ", getcurrent().parent() == dropper);
    }
  });
  g.switch_to();
  dropper = RawGreenlet([&] {
    log("dropping");
    g = {};
    log("dropped; still me: ", getcurrent() == dropper);
  });
  dropper.switch_to();
  EXPECT_EQ(lines, (Lines{"dropping", "parent is dropper: 1", "dropped; still me: 1"}));
}

// G10
TEST_F(GreenletConformance, RefusesParentsThatMakeNoSense) {
  RawGreenlet a([] {});
  RawGreenlet b([] {}, a);
  auto refusal = [](const RawGreenlet& g, const RawGreenlet& parent) -> std::string {
    try {
      g.set_parent(parent);
      return "ok";
    } catch (const GreenletError& error) {
      return error.what();
    }
  };
  EXPECT_TRUE(says(refusal(a, b), "cyclic parent chain"));
  EXPECT_TRUE(says(refusal(a, a), "cyclic parent chain"));
  EXPECT_TRUE(says(refusal(a, RawGreenlet()), "empty"));
  EXPECT_TRUE(says(refusal(getcurrent(), a), "cannot set the parent of a main greenlet"));
  EXPECT_TRUE(says(refusal(getcurrent(), RawGreenlet()), "empty"));
  EXPECT_THROW(RawGreenlet([] {}, RawGreenlet()), GreenletError);
  EXPECT_EQ(a.parent(), getcurrent());
  EXPECT_EQ(b.parent(), a);
}

// G11
TEST_F(GreenletConformance, ThereIsNothingToSwitchToWithoutAFunction) {
  RawGreenlet empty;
  EXPECT_THROW(empty.switch_to(), GreenletError);
  EXPECT_THROW(empty.throw_in(), GreenletError);
  EXPECT_FALSE(empty.dead() || empty.active());
  empty = RawGreenlet([] { return 3; });
  EXPECT_EQ(empty.switch_to().get<int>(), 3);
}

// G12
TEST_F(GreenletConformance, RefusesGreenletsOfAnotherThread) {
  may_keep_heap("hubs are kept");
  auto main = getcurrent();
  RawGreenlet unstarted([&] { log("never"); });
  RawGreenlet suspended([&] { log("thrown ", getcurrent().parent().switch_to().empty()); });
  suspended.switch_to();
  std::string said;
  std::thread([&] {
    for (const auto& g : {unstarted, suspended, main}) {
      said += outcome([&] { return g.switch_to(); }) + '\n';
      said +=
          outcome([&] { return g.throw_in(std::make_exception_ptr(std::runtime_error("v"))); }) +
          '\n';
      EXPECT_FALSE(g.dead());
    }
    RawGreenlet mine([] {});
    EXPECT_THROW(RawGreenlet([] {}, main), GreenletError);
    EXPECT_THROW(mine.set_parent(main), GreenletError);
    EXPECT_THROW(suspended.set_parent(mine), GreenletError);
  }).join();
  std::istringstream in(said);
  std::string line;
  int count = 0;
  for (; std::getline(in, line); ++count) {
    EXPECT_TRUE(line.ends_with("cannot switch to a different thread")) << line;
  }
  EXPECT_EQ(count, 6);
  EXPECT_FALSE(unstarted.active());
  EXPECT_TRUE(suspended.active());
  suspended.switch_to();
  EXPECT_EQ(lines, Lines{"thrown 1"});
}

// G13
TEST_F(GreenletConformance, DroppedInAnotherThreadUnwindsAtItsOwnThreadsNextOperation) {
  may_keep_heap("hubs are kept");
  auto owner = std::this_thread::get_id();
  RawGreenlet g([&] {
    try {
      getcurrent().parent().switch_to();
    } catch (const GreenletExit&) {
      log("finally, in owner thread: ", std::this_thread::get_id() == owner);
    }
  });
  g.switch_to();
  std::thread([&] {
    g = {};
    log("dropped in thread");
  }).join();
  log("joined");
  RawGreenlet other([] {});
  log("made");
  other.switch_to();
  log("end");
  EXPECT_EQ(lines,
            (Lines{"dropped in thread", "joined", "finally, in owner thread: 1", "made", "end"}));
}

// G14
TEST_F(GreenletConformance, IsDeadWhenItsThreadHasExited) {
  may_keep_heap("hubs are kept");
  std::vector<RawGreenlet> left;
  std::thread([&] {
    RawGreenlet g([&] {
      try {
        getcurrent().parent().switch_to();
      } catch (const GreenletExit&) {
        log("finally ran");
      }
    });
    g.switch_to();
    left = {g, getcurrent()};
  }).join();
  for (auto& g : left) {
    auto said = outcome([&] { return g.switch_to(); });
    EXPECT_TRUE(says(said, "cannot switch to a different thread (which happens to have exited)"))
        << said;
    EXPECT_TRUE(g.dead());
  }
  // Unlike Python's, it was unwound with its thread.
  EXPECT_EQ(lines, Lines{"finally ran"});
}

// G15
TEST_F(GreenletConformance, TracesSwitchesInTheTarget) {
  std::map<RawGreenlet, std::string> names{{getcurrent(), "main"}};
  RawGreenlet g([] {
    try {
      getcurrent().parent().switch_to();
    } catch (const std::runtime_error&) {
    }
  });
  names[g] = "g";
  auto before =
      fern::settrace([&](fern::TraceEvent event, const RawGreenlet& from, const RawGreenlet& to) {
        log(event == fern::TraceEvent::Switch ? "switch " : "throw ", names[from], " ", names[to],
            to == getcurrent() ? "" : " elsewhere");
      });
  EXPECT_FALSE(before);
  g.switch_to();
  g.throw_in(std::make_exception_ptr(std::runtime_error("v")));
  EXPECT_TRUE(fern::settrace(nullptr));
  EXPECT_FALSE(fern::gettrace());
  EXPECT_EQ(lines, (Lines{"switch main g", "switch g main", "throw main g", "switch g main"}));

  RawGreenlet h([&] { log("ran"); });
  fern::settrace([](auto...) { throw std::runtime_error("trace"); });
  EXPECT_EQ(outcome([&] { return h.switch_to(); }), "trace");
  EXPECT_TRUE(h.dead());
  EXPECT_FALSE(fern::gettrace());
  EXPECT_EQ(lines.size(), 4u) << "the target ended by it, before its function began";
}

// G16
TEST_F(GreenletConformance, TellsWhetherItIsSuspended) {
  auto state = [](const RawGreenlet& g) {
    std::ostringstream out;
    fern::dump(out);
    std::string text = out.str();
    auto at = text.find(g.name() + " (id");
    if (at == std::string::npos) return std::string("gone");
    auto from = text.find(": ", at) + 2;
    return text.substr(from, text.find('\n', from) - from);
  };
  RawGreenlet g;
  g = RawGreenlet([&] {
    log(state(g));
    getcurrent().parent().switch_to();
  });
  log(state(g));
  g.switch_to();
  log(state(g));
  g.switch_to();
  log(state(g), " ", g.dead());
  EXPECT_EQ(lines, (Lines{"not started", "running", "suspended in switch_to()", "gone 1"}));
}

// G17
TEST_F(GreenletConformance, HasLocalsOfItsOwnFreshAtFirst) {
  fern::GreenletLocal<int> local;
  *local = 1;
  RawGreenlet g([&](int n) {
    int before = std::exchange(*local, n);
    getcurrent().parent().switch_to(before);
    return *local;
  });
  log(show(g.switch_to(2)));
  log(*local);
  log(show(g.switch_to()));
  EXPECT_EQ(lines, (Lines{"0", "1", "2"}));
}

// G18
TEST_F(GreenletConformance, GivesItsResultToTheParentNotToWhoSwitchedToItLast) {
  RawGreenlet b([&] {
    log("b runs");
    return "from-b";
  });
  RawGreenlet a([&] { log("a got ", show(b.switch_to())); });
  auto got = show(a.switch_to());
  log("main got ", got, " a dead ", a.dead());
  a.switch_to();
  log(a.dead());
  EXPECT_EQ(lines, (Lines{"b runs", "main got from-b a dead 0", "a got ()", "1"}));
}

// G19
TEST_F(GreenletConformance, StartsAParentThatNeverBeganAndSkipsOneThatHasEnded) {
  RawGreenlet p([](const char* v) { return std::string("p-ret:") + v; });
  RawGreenlet c([] { return "c-ret"; }, p);
  auto got = show(c.switch_to());
  log(got, " ", p.dead());
  p = RawGreenlet([] { return "pdone"; });
  p.switch_to();
  c = RawGreenlet([] { return "c2"; }, p);
  log(show(c.switch_to()));
  // And the parent of a suspended one can be changed.
  RawGreenlet a([] {
    getcurrent().parent().switch_to();
    return "res";
  });
  RawGreenlet b([&] {
    log("b got ", show(a.switch_to()));
    return "b-end";
  });
  a.switch_to();
  a.set_parent(b);
  log(show(b.switch_to()));
  EXPECT_EQ(lines, (Lines{"p-ret:c-ret 1", "c2", "b got res", "b-end"}));
}

// G20
TEST_F(GreenletConformance, AnExceptionKillsAParentThatNeverBeganAndGoesOnUp) {
  RawGreenlet p([&] { log("p ran"); });
  RawGreenlet c([] { throw std::runtime_error("boom"); }, p);
  EXPECT_EQ(outcome([&] { return c.switch_to(); }), "boom");
  EXPECT_TRUE(p.dead() && c.dead());
  EXPECT_EQ(lines, Lines{});
  // A GreenletExit does not: the parent runs.
  p = RawGreenlet([&] { log("p ran"); });
  c = RawGreenlet([] { throw GreenletExit("bye"); }, p);
  EXPECT_EQ(show(c.switch_to()), "()");
  EXPECT_TRUE(p.dead());
  EXPECT_EQ(lines, Lines{"p ran"});
}

// G21
TEST_F(GreenletConformance, SwitchedToItselfGoesOnAtOnce) {
  auto me = getcurrent();
  EXPECT_EQ(show(me.switch_to(3)), "3");
  EXPECT_EQ(show(me.switch_to()), "()");
  EXPECT_EQ(show(me.switch_to(1, 2)), "(1, 2)");
  EXPECT_EQ(
      outcome([&] { return me.throw_in(std::make_exception_ptr(std::runtime_error("self"))); }),
      "self");
  EXPECT_THROW(me.throw_in(), GreenletExit);
}

// G22
TEST_F(GreenletConformance, CatchesWhatIsThrownInAndGoesOn) {
  RawGreenlet g([&] {
    for (;;) {
      try {
        getcurrent().parent().switch_to();
      } catch (const std::exception& error) {
        log(error.what());
      }
    }
  });
  g.switch_to();
  for (auto* what : {"x", "y", "z"}) {
    EXPECT_TRUE(g.throw_in(std::make_exception_ptr(std::runtime_error(what))).empty());
  }
  EXPECT_EQ(lines, (Lines{"x", "y", "z"}));
}

// G23
TEST_F(GreenletConformance, PingPongByHand) {
  RawGreenlet a;
  RawGreenlet b;
  a = RawGreenlet([&] {
    for (int i = 0; i < 3; ++i) {
      log("a ", i);
      b.switch_to();
    }
  });
  b = RawGreenlet([&] {
    for (int i = 0; i < 3; ++i) {
      log("b ", i);
      a.switch_to();
    }
  });
  a.switch_to();
  log("main ", a.dead(), b.dead());
  EXPECT_EQ(lines, (Lines{"a 0", "b 0", "a 1", "b 1", "a 2", "b 2", "main 10"}));
}

// G24
TEST_F(GreenletConformance, TheMainGreenletIsActiveAndHasNoParent) {
  auto main = getcurrent();
  EXPECT_TRUE(main.active());
  EXPECT_FALSE(main.dead());
  EXPECT_FALSE(main.parent().valid());
  EXPECT_EQ(main.name(), "main");
}
