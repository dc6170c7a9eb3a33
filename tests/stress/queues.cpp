#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>

#include <optional>

#include "stress/storm.hpp"

namespace storm {
namespace {

// What was put and not refused is what was got, and what is left. Items add up to the same sum, so
// that none was doubled for another that was lost.
template <class Queue>
class Items : public Trouble {
 public:
  template <class... Args>
  explicit Items(const char* name, Args... args) : Trouble(name), queue_(args...) {}

  void touch(Dice& dice) override {
    try {
      if (dice.one_in(2)) {
        std::int64_t item = 1 + dice.below(1'000'000);
        if (dice.one_in(4)) {
          if (!queue_.try_put(std::int64_t(item))) return;
        } else {
          queue_.put(std::int64_t(item), dice.deadline());
        }
        ++put_;
        put_sum_ += item;
      } else if (dice.one_in(4)) {
        if (auto item = queue_.try_get()) got(*item);
      } else {
        got(queue_.get(dice.deadline()));
      }
    } catch (const fern::QueueClosed&) {
    }
  }
  void open() override { queue_.close(); }
  std::string check() override {
    while (auto item = drain()) got(*item);
    std::string wrong = differ("put", put_, "got", got_);
    return wrong.empty() ? differ("sum put", put_sum_, "sum got", got_sum_) : wrong;
  }

 private:
  void got(std::int64_t item) {
    ++got_;
    got_sum_ += item;
  }
  std::optional<std::int64_t> drain() {
    try {
      return queue_.try_get();
    } catch (const fern::QueueClosed&) {
      return {};
    }
  }

  Queue queue_;
  Tally put_{0};
  Tally got_{0};
  Tally put_sum_{0};
  Tally got_sum_{0};
};

// A select over gets and puts of two channels and a queue: all of one case happens, or nothing.
class Selecting : public Trouble {
 public:
  Selecting() : Trouble("select") {}
  void touch(Dice& dice) override {
    std::int64_t item = 1 + dice.below(1'000'000);
    auto got = [this](std::int64_t what) { sum_ -= what; };
    auto put = [this, item] { sum_ += item; };
    auto& here = dice.one_in(2) ? left_ : right_;
    auto& there = &here == &left_ ? right_ : left_;
    try {
      switch (dice.below(4)) {
        case 0:
          fern::select(dice.deadline(), fern::on_get(here, got), fern::on_get(queue_, got));
          break;
        case 1:
          fern::select(dice.deadline(), fern::on_put(here, std::int64_t(item), put),
                       fern::on_put(queue_, std::int64_t(item), put));
          break;
        case 2:
          fern::select(dice.deadline(), fern::on_get(here, got),
                       fern::on_put(there, std::int64_t(item), put));
          break;
        default:
          fern::try_select(fern::on_get(queue_, got), fern::on_get(here, got),
                           fern::on_put(there, std::int64_t(item), put));
      }
    } catch (const fern::QueueClosed&) {
    }
  }
  void open() override {
    left_.close();
    right_.close();
    queue_.close();
  }
  std::string check() override {
    try {
      while (auto item = queue_.try_get()) sum_ -= *item;
    } catch (const fern::QueueClosed&) {
    }
    return differ("sum of what was put and not got", sum_, "of", 0);
  }

 private:
  fern::Channel<std::int64_t> left_;
  fern::Channel<std::int64_t> right_;
  fern::Queue<std::int64_t> queue_{3};
  Tally sum_{0};
};

}  // namespace

void add_queues(Troubles& troubles) {
  using Item = std::int64_t;
  troubles.push_back(std::make_unique<Items<fern::Queue<Item>>>("Queue of 3", 3));
  troubles.push_back(std::make_unique<Items<fern::Queue<Item>>>("Queue of 0", 0));
  troubles.push_back(std::make_unique<Items<fern::Channel<Item>>>("Channel"));
  troubles.push_back(std::make_unique<Selecting>());
  troubles.push_back(std::make_unique<Items<fern::LifoQueue<Item>>>("LifoQueue", 8));
  troubles.push_back(std::make_unique<Items<fern::PriorityQueue<Item>>>("PriorityQueue", 8));
}

}  // namespace storm
