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

// What many watches tell the one who waits: in which order greenlets end. It is woken once, by the
// end that is the last to wait for, so that it goes on where a joiner of that one would.
struct Ends {
  core::Greenlet* waiter = nullptr;
  std::size_t wanted = 0;
  bool raise_error = false;
  std::vector<std::size_t> order;
  core::Greenlet* failed = nullptr;  // only with raise_error

  bool enough() const noexcept { return order.size() >= wanted || failed != nullptr; }
};

// One greenlet's watch, and which one it is.
struct Place {
  Ends* ends = nullptr;
  std::size_t index = 0;
  core::Greenlet* block = nullptr;

  static void told(void* context) noexcept {
    auto* place = static_cast<Place*>(context);
    Ends& ends = *place->ends;
    if (ends.enough()) return;
    ends.order.push_back(place->index);  // reserved
    if (ends.raise_error && place->block->error != nullptr) ends.failed = place->block;
    if (ends.enough()) Hub::wake(*ends.waiter, core::Wake::Notified);
  }
};

// Waits for the ends of the living, and appends them to those that had ended before.
void join_living(const std::vector<core::Greenlet*>& blocks, const JoinOptions& options,
                 const std::vector<std::size_t>& alive, std::vector<std::size_t>& ended) {
  Hub& hub = Hub::current();
  Ends ends;
  ends.waiter = &hub.running();
  ends.wanted = std::min(alive.size(), options.count - ended.size());
  ends.raise_error = options.raise_error;
  ends.order.reserve(alive.size());
  std::vector<Place> places;
  places.reserve(alive.size());
  std::deque<core::EndWatch> watches;
  for (std::size_t i : alive) {
    places.push_back({&ends, i, blocks[i]});
    watches.emplace_back(*blocks[i], Place::told, &places.back());
  }
  while (!ends.enough() && hub.park("joinall()", -1, options.deadline) != core::Wake::TimedOut) {
  }
  if (ends.failed != nullptr) raise_if_failed(ends.failed);
  ended.insert(ended.end(), ends.order.begin(), ends.order.end());
}

}  // namespace

std::vector<std::size_t> join_many(const std::vector<core::Greenlet*>& blocks,
                                   const JoinOptions& options) {
  std::vector<std::size_t> ended;
  std::vector<std::size_t> alive;
  const core::Greenlet* self = &Hub::current().running();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] == nullptr) throw GreenletError("joinall(): a handle is empty");
    if (blocks[i] == self) throw GreenletError("joinall(): a greenlet cannot join itself");
    (core::is_dead(*blocks[i]) ? ended : alive).push_back(i);
  }
  ended.resize(std::min(ended.size(), options.count));
  if (options.raise_error) {
    for (std::size_t i : ended) raise_if_failed(blocks[i]);
  }
  if (ended.size() < options.count && !alive.empty() && options.deadline != Deadline::past()) {
    join_living(blocks, options, alive, ended);
  }
  return ended;
}

bool kill_many(const std::vector<core::Greenlet*>& blocks, const KillOptions& options) {
  Hub& hub = Hub::current();
  core::Greenlet* self = nullptr;
  std::vector<core::Greenlet*> others;
  for (core::Greenlet* block : blocks) {
    if (block == nullptr) throw GreenletError("killall(): a handle is empty");
    if (block == &hub.running()) {
      self = block;
    } else {
      others.push_back(block);
    }
  }
  KillOptions each = options;
  each.block = false;
  // Those that never started end here and now, the others when they get their turns.
  for (core::Greenlet* block : others) {
    if (block->hub == &hub && block->state == core::State::Unstarted) handle_of(block).kill(each);
  }
  for (core::Greenlet* block : others) handle_of(block).kill(each);
  if (options.block) {
    bool alive = std::any_of(others.begin(), others.end(),
                             [](core::Greenlet* block) { return !core::is_dead(*block); });
    if (alive && options.deadline != Deadline::past()) yield();  // as AnyGreenlet::kill() does
    JoinOptions all;
    all.deadline = options.deadline;
    if (join_many(others, all).size() < others.size()) return false;
  }
  if (self != nullptr) handle_of(self).kill(options);
  return true;
}

}  // namespace fern::detail
