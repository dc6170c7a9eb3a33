#include <fern/barrier.hpp>
#include <fern/condition_variable.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/mutex.hpp>
#include <fern/semaphore.hpp>
#include <fern/shared_mutex.hpp>

#include <mutex>
#include <shared_mutex>

#include "stress/storm.hpp"

namespace storm {
namespace {

using fern::yield;

class Permits : public Trouble {
 public:
  Permits() : Trouble("Semaphore") {}
  void touch(Dice& dice) override {
    if (!permits_.acquire(dice.deadline())) return;
    struct Release {
      fern::Semaphore& permits;
      ~Release() { permits.release(); }
    } release{permits_};
    if (dice.one_in(2)) yield();
  }
  std::string check() override { return differ("permits", permits_.counter(), "of", 5); }

 private:
  fern::BoundedSemaphore permits_{5};
};

// Makes two counters agree when a scope ends, however it does.
struct Agree {
  std::int64_t& first;
  std::int64_t& second;
  ~Agree() { second = first; }
};

// Two counters that only agree while nobody is inside. Not atomic: a race is the lock's fault.
template <class Lock>
class Exclusion : public Trouble {
 public:
  explicit Exclusion(const char* name) : Trouble(name) {}
  void touch(Dice& dice) override {
    std::unique_lock lock(lock_, std::defer_lock);
    if (dice.one_in(2)) {
      lock.lock();
    } else if (!lock_.try_lock_until(dice.deadline())) {
      return;
    } else {
      lock = std::unique_lock(lock_, std::adopt_lock);
    }
    if (first_ != second_) broken_ = true;
    ++first_;
    Agree agree{first_, second_};
    if (dice.one_in(2)) yield();
  }
  std::string check() override {
    if (broken_) return "two were inside at once";
    if (!lock_.try_lock()) return "still locked";
    lock_.unlock();
    return {};
  }

 private:
  Lock lock_;
  std::int64_t first_ = 0;
  std::int64_t second_ = 0;
  bool broken_ = false;
};

// Readers see the two counters agree, and only one writes.
class Reading : public Trouble {
 public:
  Reading() : Trouble("SharedMutex") {}
  void touch(Dice& dice) override {
    if (dice.one_in(4)) {
      std::unique_lock lock(mutex_, std::defer_lock);
      if (!mutex_.try_lock_until(dice.deadline())) return;
      lock = std::unique_lock(mutex_, std::adopt_lock);
      ++first_;
      Agree agree{first_, second_};
      if (dice.one_in(2)) yield();
      return;
    }
    if (!mutex_.try_lock_shared_until(dice.deadline())) return;
    std::shared_lock lock(mutex_, std::adopt_lock);
    if (first_ != second_) ++torn_;
    if (dice.one_in(2)) yield();
    if (first_ != second_) ++torn_;
  }
  std::string check() override {
    if (!mutex_.try_lock()) return "still locked";
    mutex_.unlock();
    return differ("torn reads", torn_, "of", 0);
  }

 private:
  fern::SharedMutex mutex_;
  std::int64_t first_ = 0;
  std::int64_t second_ = 0;
  Tally torn_{0};
};

// Rounds of three that break whenever one of them is killed or late.
class Rounds : public Trouble {
 public:
  Rounds() : Trouble("Barrier") {}
  void touch(Dice& dice) override {
    try {
      if (barrier_.wait(dice.deadline()) >= 3) ++wrong_;
    } catch (const fern::BrokenBarrier&) {
      if (!open_) barrier_.reset();
    }
  }
  void open() override {
    open_ = true;
    barrier_.abort();
  }
  std::string check() override { return differ("places beyond the third", wrong_, "of", 0); }

 private:
  fern::Barrier barrier_{3};
  std::atomic<bool> open_{false};
  Tally wrong_{0};
};

// Tokens that are put back by a notify; a kill may hit between the notify and the taking.
class Tokens : public Trouble {
 public:
  Tokens() : Trouble("ConditionVariable") {}
  void touch(Dice& dice) override {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, [this] { return tokens_ > 0; }, dice.deadline())) return;
      --tokens_;
    }
    struct Back {
      Tokens& tokens;
      ~Back() {
        fern::ShieldKill shield;
        std::lock_guard guard(tokens.mutex_);
        ++tokens.tokens_;
        tokens.changed_.notify_one();
      }
    } back{*this};
    if (dice.one_in(2)) yield();
  }
  std::string check() override { return differ("tokens", tokens_, "of", 3); }

 private:
  fern::Mutex mutex_;
  fern::ConditionVariable changed_;
  std::int64_t tokens_ = 3;
};

}  // namespace

void add_locks(Troubles& troubles) {
  troubles.push_back(std::make_unique<Permits>());
  troubles.push_back(std::make_unique<Exclusion<fern::Mutex>>("Mutex"));
  troubles.push_back(std::make_unique<Exclusion<fern::RLock>>("RLock"));
  troubles.push_back(std::make_unique<Reading>());
  troubles.push_back(std::make_unique<Rounds>());
  troubles.push_back(std::make_unique<Tokens>());
}

}  // namespace storm
