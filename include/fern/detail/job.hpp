#pragma once

// What a Feed's workers run, and where they leave what they return.

#include <fern/config.hpp>
#include <fern/detail/feed.hpp>
#include <fern/greenlet.hpp>

#include <memory>
#include <new>
#include <utility>

namespace fern::detail {

// Outcome is an item with a result of its type.
template <class R>
struct Outcome final : Item {
  Outcome() noexcept {}
  ~Outcome() override { clear(); }
  void clear() noexcept override {
    if (std::exchange(present, false)) std::destroy_at(std::addressof(value));
  }
  R& get() {
    if (!present) rethrow();
    return value;
  }

  union {
    R value;
  };
  bool present = false;
};

template <class R>
class Results : public Feed {
 public:
  using Feed::Feed;

  Outcome<R>& take_item() {
    if (Item* free = reuse()) return static_cast<Outcome<R>&>(*free);
    auto* made = new Outcome<R>;
    own(*made);
    return *made;
  }

  R& value() { return static_cast<Outcome<R>&>(current()).get(); }
};

// Job is the callable of a worker: calls `work` once, which returns an R, into the item.
template <class R, class Work>
class Job {
 public:
  Job(Results<R>& results, Outcome<R>& item, Work work)
      : results_(Ref<Results<R>>::share(results)), item_(&item), work_(std::move(work)) {}
  Job(Job&&) = default;
  ~Job() {
    if (results_) results_->finished(*item_, ran_);
  }

  void operator()() {
    // Once it runs it is not to be dropped any more. Without a handle it runs inside of spawn.
    bool own = std::exchange(item_->greenlet, AnyGreenlet()).valid();
    ran_ = true;
    try {
      ::new (static_cast<void*>(std::addressof(item_->value))) R(work_());
      item_->present = true;
    } catch (...) {
      results_->failed(*item_, own);
      throw;
    }
  }

 private:
  Ref<Results<R>> results_;
  Outcome<R>* item_;
  bool ran_ = false;
  Work work_;
};

// start_job() makes a greenlet for the work by `spawn`, which is given the Job and returns the
// handle; a full pool may have run it already, and then the item may be somebody else's.
template <class R, class Work, class Spawn>
void start_job(Results<R>& results, Work&& work, Spawn&& spawn) {
  Outcome<R>& item = results.take_item();
  results.begin(item);
  AnyGreenlet worker = spawn(Job<R, Work>(results, item, std::forward<Work>(work)));
  if (worker.ready()) {
    static_cast<void>(worker.exception());  // the item has it: it counts as read
  } else {
    item.greenlet = std::move(worker);
  }
}

}  // namespace fern::detail
