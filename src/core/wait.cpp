#include "core/end_watch.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <deque>

namespace fern::detail {
namespace {

using core::Hub;

AnyGreenlet handle_of(core::Greenlet* block) noexcept {
  core::retain(*block);
  return Access::adopt<AnyGreenlet>(block);
}

void raise_if_failed(core::Greenlet* block) {
  if (auto error = handle_of(block).exception()) std::rethrow_exception(std::move(error));
}

// Every one in turn, all of this hub: the joiner wakes once for each that is still alive when it
// looks. For the order it relies on the hub's count of ends.
std::vector<std::size_t> join_each(const std::vector<core::Greenlet*>& blocks, Deadline deadline,
                                   std::vector<std::size_t> ended,
                                   const std::vector<std::size_t>& alive) {
  bool in_time = true;
  for (std::size_t i : alive) in_time = in_time && handle_of(blocks[i]).join(deadline);
  std::size_t before = ended.size();
  for (std::size_t i : alive) {
    if (core::is_dead(*blocks[i])) ended.push_back(i);
  }
  std::stable_sort(ended.begin() + static_cast<std::ptrdiff_t>(before), ended.end(),
                   [&](std::size_t a, std::size_t b) {
                     return blocks[a]->finish < blocks[b]->finish;
                   });
  return ended;
}

// One of many watches that tell the same waiter in which order greenlets end.
struct Order {
  core::Greenlet* waiter = nullptr;
  std::vector<std::size_t> ended;
};
struct Place {
  Order* order = nullptr;
  std::size_t index = 0;
};

// In order of completion, stopping at the first failure or after so many.
std::vector<std::size_t> join_some(const std::vector<core::Greenlet*>& blocks,
                                   const JoinOptions& options, std::vector<std::size_t> ended,
                                   const std::vector<std::size_t>& alive) {
  Hub& hub = Hub::current();
  Order order;
  order.waiter = &hub.running();
  order.ended.reserve(alive.size());
  std::vector<Place> places;
  places.reserve(alive.size());
  std::deque<core::EndWatch> watches;
  for (std::size_t i : alive) {
    places.push_back({&order, i});
    watches.emplace_back(
        *blocks[i],
        [](void* context) noexcept {
          auto* place = static_cast<Place*>(context);
          place->order->ended.push_back(place->index);
          Hub::wake(*place->order->waiter, core::Wake::Notified);
        },
        &places.back());
  }
  std::size_t told = 0;
  while (ended.size() < options.count && told < alive.size()) {
    if (told == order.ended.size()) {
      if (hub.park("joinall()", -1, options.deadline) == core::Wake::TimedOut &&
          told == order.ended.size()) {
        break;
      }
      continue;
    }
    std::size_t i = order.ended[told++];
    if (options.raise_error) raise_if_failed(blocks[i]);
    ended.push_back(i);
  }
  return ended;
}

}  // namespace

std::vector<std::size_t> join_many(const std::vector<core::Greenlet*>& blocks,
                                   const JoinOptions& options) {
  std::vector<std::size_t> ended;
  std::vector<std::size_t> alive;
  Hub& hub = Hub::current();
  bool ours = true;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] == nullptr) throw GreenletError("joinall(): a handle is empty");
    if (blocks[i] == &hub.running()) {
      throw GreenletError("joinall(): a greenlet cannot join itself");
    }
    ours = ours && blocks[i]->hub == &hub;
    (core::is_dead(*blocks[i]) ? ended : alive).push_back(i);
  }
  if (options.raise_error) {
    for (std::size_t i : ended) raise_if_failed(blocks[i]);
  }
  if (ended.size() >= options.count) {
    ended.resize(options.count);
    return ended;
  }
  if (alive.empty()) return ended;
  if (ours && !options.raise_error && options.count >= blocks.size()) {
    return join_each(blocks, options.deadline, std::move(ended), alive);
  }
  return join_some(blocks, options, std::move(ended), alive);
}

bool kill_many(const std::vector<core::Greenlet*>& blocks, const KillOptions& options) {
  for (core::Greenlet* block : blocks) {
    if (block == nullptr) throw GreenletError("killall(): a handle is empty");
  }
  KillOptions each = options;
  each.block = false;
  core::Greenlet* self = nullptr;
  for (core::Greenlet* block : blocks) {
    if (block == &Hub::current().running()) {
      self = block;
      continue;
    }
    handle_of(block).kill(each);
  }
  if (options.block) {
    for (core::Greenlet* block : blocks) {
      if (block != self && !handle_of(block).join(options.deadline)) return false;
    }
  }
  if (self != nullptr) handle_of(self).kill(options);
  return true;
}

}  // namespace fern::detail
