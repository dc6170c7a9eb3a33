#include "core/end_watch.hpp"

#include "core/hub.hpp"

#include <mutex>

namespace fern::core {
namespace {

void append(Stranger*& first, Stranger& stranger) noexcept {
  stranger.listed = true;
  Stranger* last = first == nullptr ? &stranger : first->previous;
  stranger.previous = last;
  (first == nullptr ? first : last->next) = &stranger;
  first->previous = &stranger;
}

void take_out(Stranger*& first, Stranger& stranger) noexcept {
  stranger.listed = false;
  (first == &stranger ? first : stranger.previous->next) = stranger.next;
  Stranger* after = stranger.next == nullptr ? first : stranger.next;
  if (after != nullptr) after->previous = stranger.previous;
}

}  // namespace

EndWatch::EndWatch(Greenlet& watched, Told told, void* context)
    : watched_(watched), told_(told), context_(context) {
  Hub& home = Hub::current();
  if (watched.hub != &home) {
    remote_.home = &home;
    remote_.watch = this;
    remote_.run = [](detail::Remote* message) noexcept {
      auto* self = static_cast<Remote*>(message);
      self->arrived = true;
      self->watch->told_(self->watch->context_);
    };
    enlisted_ = enlist();
  } else if (!is_dead(watched)) {
    local_.watch = this;
    local_.ended = [](Link* link, Greenlet&) noexcept {
      EndWatch& self = *static_cast<Local*>(link)->watch;
      self.told_(self.context_);
    };
    link(watched, local_);
    linked_ = true;
  }
  if (!linked_ && !enlisted_) told(context);
}

// False if it is dead. The bit is set under the lock: an ending that sees it finds the list whole.
bool EndWatch::enlist() noexcept {
  std::lock_guard lock(watched_.hub->strangers_lock);
  std::uint64_t life = watched_.life.load(std::memory_order_acquire);
  do {
    if ((life & life_dead) != 0) return false;
  } while (!watched_.life.compare_exchange_weak(
      life, life | life_watched, std::memory_order_acq_rel, std::memory_order_acquire));
  append(watched_.strangers, remote_);
  return true;
}

EndWatch::~EndWatch() {
  if (linked_ && !is_dead(watched_)) unlink(watched_, local_);
  if (!enlisted_ || remote_.arrived) return;
  {
    std::lock_guard lock(watched_.hub->strangers_lock);
    if (remote_.listed) {
      // The bit stays: an ending that finds nobody here has only looked in vain.
      take_out(watched_.strangers, remote_);
      return;
    }
  }
  Greenlet& self = remote_.home->running();
  told_ = [](void* waiting) noexcept {
    Hub::wake(*static_cast<Greenlet*>(waiting), Wake::Notified);
  };
  context_ = &self;
  ++self.shields;
  while (!remote_.arrived) remote_.home->try_park("the news of an end");
  --self.shields;
}

void tell_strangers(Greenlet& ended) noexcept {
  Stranger* first;
  {
    std::lock_guard lock(ended.hub->strangers_lock);
    first = ended.strangers;
    ended.strangers = nullptr;
    for (Stranger* each = first; each != nullptr; each = each->next) each->listed = false;
  }
  while (first != nullptr) {
    Stranger* next = first->next;  // it may be gone once it has been told
    first->home->post(*first);
    first = next;
  }
  if (ended.life.fetch_and(~life_watched, std::memory_order_acq_rel) ==
      (life_dead | life_watched)) {
    free_dead(ended);
  }
}

}  // namespace fern::core
