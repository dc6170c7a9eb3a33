#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <memory>
#include <mutex>
#include <utility>

#include "stress/storm.hpp"

namespace storm {
namespace {

class Flag : public Trouble {
 public:
  Flag() : Trouble("Event") {}
  void touch(Dice& dice) override {
    switch (dice.below(8)) {
      case 0:
        event_.set();
        break;
      case 1:
        if (!open_) event_.clear();
        break;
      default:
        event_.wait(dice.deadline());
    }
  }
  void open() override {
    open_ = true;
    event_.set();
  }
  std::string check() override { return event_.is_set() ? "" : "it was set, and is not"; }

 private:
  fern::Event event_;
  std::atomic<bool> open_{false};
};

// Results that many wait for, each replaced by a fresh one once it is there.
class Results : public Trouble {
 public:
  Results() : Trouble("AsyncResult") {}
  void touch(Dice& dice) override {
    fern::AsyncResult<int> result = current();
    if (dice.one_in(6)) {
      result.try_set(7);
      std::lock_guard guard(mutex_);
      if (!open_) current_ = {};
      return;
    }
    if (result.get(dice.deadline()) != 7) ++wrong_;
  }
  void open() override {
    fern::AsyncResult<int> last = current();
    std::lock_guard guard(mutex_);
    open_ = true;
    last.try_set(7);
    current_.try_set(7);
  }
  std::string check() override { return differ("wrong values", wrong_, "of", 0); }

 private:
  fern::AsyncResult<int> current() {
    std::lock_guard guard(mutex_);
    return current_;
  }

  std::mutex mutex_;  // held for a moment, never across a wait
  fern::AsyncResult<int> current_;
  bool open_ = false;
  Tally wrong_{0};
};

// Greenlets that others join, kill and are told of.
class Ends : public Trouble {
 public:
  Ends() : Trouble("join") {}
  void touch(Dice& dice) override {
    int naps = dice.below(4);
    auto child = fern::spawn([naps] {
      for (int i = 0; i < naps; ++i) fern::yield();
      return naps;
    });
    fern::AnyGreenlet other = exchange(child);
    try {
      switch (dice.below(5)) {
        case 0:
          if (child.get(dice.deadline()) != naps) ++wrong_;
          break;
        case 1:
          if (other.valid()) other.join(dice.deadline());
          break;
        case 2:
          if (other.valid()) other.kill({.block = dice.one_in(2), .deadline = dice.deadline()});
          break;
        case 3:
          if (other.valid()) fern::joinall({child, other}, {.deadline = dice.deadline()});
          break;
        default:
          child.link([this](const fern::AnyGreenlet& ended) {
            if (!ended.ready()) ++wrong_;
          });
      }
    } catch (const fern::GreenletKilled&) {
    }
  }
  void open() override { exchange({}); }
  std::string check() override { return differ("wrong ends", wrong_, "of", 0); }

 private:
  fern::AnyGreenlet exchange(fern::AnyGreenlet next) {
    std::lock_guard guard(mutex_);
    return std::exchange(last_, std::move(next));
  }

  std::mutex mutex_;
  fern::AnyGreenlet last_;
  Tally wrong_{0};
};

// Scopes of time around a wait that would never end by itself.
class Scopes : public Trouble {
 public:
  Scopes() : Trouble("Timeout") {}
  void touch(Dice& dice) override {
    fern::Timeout outer{std::chrono::microseconds(dice.below(2000))};
    fern::Timeout inner{std::chrono::microseconds(dice.below(2000))};
    fern::Event never;
    try {
      if (dice.one_in(4)) {
        fern::ShieldKill shield;
        fern::sleep(std::chrono::microseconds(dice.below(500)));
      }
      never.wait();
    } catch (const fern::TimeoutError& error) {
      if (!outer.owns(error) && !inner.owns(error)) throw;  // of a scope around this
      if (outer.owns(error) ? !outer.expired() : !inner.expired()) ++wrong_;
    }
  }
  std::string check() override { return differ("errors too early", wrong_, "of", 0); }

 private:
  Tally wrong_{0};
};

}  // namespace

void add_signals(Troubles& troubles) {
  troubles.push_back(std::make_unique<Flag>());
  troubles.push_back(std::make_unique<Results>());
  troubles.push_back(std::make_unique<Ends>());
  troubles.push_back(std::make_unique<Scopes>());
}

}  // namespace storm
