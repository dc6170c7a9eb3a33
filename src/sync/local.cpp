#include "core/greenlet.hpp"
#include "core/hub.hpp"

#include <fern/local.hpp>

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

namespace fern {
namespace detail {

struct LocalKey::Shared {
  std::atomic<std::size_t> count{1};  // the GreenletLocal and each of its values
  std::atomic<bool> gone{false};      // the GreenletLocal is destroyed
};

}  // namespace detail

namespace core {

using Key = detail::LocalKey::Shared;

namespace {

void drop_key(Key* key) noexcept {
  if (key->count.fetch_sub(1, std::memory_order_acq_rel) == 1) delete key;
}

}  // namespace

// The values of one greenlet, oldest first. Few, so that a scan is quicker than a hash. There is
// none while there are no values, but for one that is `busy`: in use further up the stack.
struct LocalMap {
  struct Entry {
    Key* key;
    void* value;
    detail::LocalKey::Destroy destroy;
  };
  std::vector<Entry> entries;
  int busy = 0;

  // Takes the entry out before its destructor runs: that may use other locals, even this one.
  void destroy(std::size_t i) noexcept {
    Entry entry = entries[i];
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    ++busy;
    entry.destroy(entry.value);
    --busy;
    drop_key(entry.key);
  }

  // Values of destroyed GreenletLocals would pile up in a greenlet that lives long.
  void sweep() noexcept {
    for (std::size_t i = entries.size(); i-- > 0;) {
      if (i < entries.size() && entries[i].key->gone.load(std::memory_order_acquire)) destroy(i);
    }
  }
};

namespace {

void forget_if_empty(Greenlet& greenlet) noexcept {
  if (!greenlet.locals->entries.empty() || greenlet.locals->busy > 0) return;
  delete std::exchange(greenlet.locals, nullptr);
}

void end_locals(Greenlet& greenlet) noexcept {
  LocalMap& map = *greenlet.locals;
  while (!map.entries.empty()) map.destroy(map.entries.size() - 1);
  forget_if_empty(greenlet);
}

// Core lies below this layer and calls through a pointer.
[[maybe_unused]] const bool installed = [] {
  locals_ended = end_locals;
  return true;
}();

}  // namespace
}  // namespace core

namespace detail {

LocalKey::LocalKey() : shared_(new Shared) {}

LocalKey::~LocalKey() {
  shared_->gone.store(true, std::memory_order_release);
  drop();
  core::drop_key(shared_);
}

void* LocalKey::find() const {
  core::Hub* hub = core::Hub::mine();
  if (hub == nullptr) return nullptr;
  const core::LocalMap* map = hub->running().locals;
  if (map == nullptr) return nullptr;
  for (const auto& entry : map->entries) {
    if (entry.key == shared_) return entry.value;
  }
  return nullptr;
}

void LocalKey::add(void* value, Destroy destroy) {
  core::Greenlet& running = core::Hub::current().running();
  if (running.locals == nullptr) running.locals = new core::LocalMap;
  running.extras |= core::extra_cold;
  core::LocalMap& map = *running.locals;
  ++map.busy;
  if (map.entries.size() == map.entries.capacity()) map.sweep();
  --map.busy;
  map.entries.push_back({shared_, value, destroy});
  shared_->count.fetch_add(1, std::memory_order_relaxed);
}

void LocalKey::drop() noexcept {
  core::Hub* hub = core::Hub::mine();
  if (hub == nullptr || hub->running().locals == nullptr) return;
  core::Greenlet& running = hub->running();
  auto& entries = running.locals->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].key != shared_) continue;
    running.locals->destroy(i);
    core::forget_if_empty(running);
    return;
  }
}

}  // namespace detail
}  // namespace fern
