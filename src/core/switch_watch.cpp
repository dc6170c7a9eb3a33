#include "core/switch_watch.hpp"

#include "base/clock.hpp"
#include "core/hub.hpp"

#include <algorithm>
#include <utility>

namespace fern::core {

SwitchWatch::SwitchWatch()
    : hub_(Hub::current()),
      greenlet_(hub_.running()),
      next_(hub_.watches()),
      since_(base::now_ns()) {
  hub_.set_watches(this);
  greenlet_.slow |= slow_watched;
}

SwitchWatch::~SwitchWatch() {
  SwitchWatch* first = hub_.watches();
  SwitchWatch** place = &first;
  while (*place != this) place = &(*place)->next_;
  *place = next_;
  hub_.set_watches(first);
  SwitchWatch* other = first;
  while (other != nullptr && &other->greenlet_ != &greenlet_) other = other->next_;
  if (other == nullptr) greenlet_.slow &= static_cast<std::uint8_t>(~slow_watched);
}

std::int64_t SwitchWatch::longest() noexcept { return std::max(longest_, base::now_ns() - since_); }

void SwitchWatch::stopped(SwitchWatch* first) noexcept {
  std::int64_t now = base::now_ns();
  for (SwitchWatch* watch = first; watch != nullptr; watch = watch->next_) {
    if (watch->since_ == 0) continue;
    watch->longest_ = std::max(watch->longest_, now - std::exchange(watch->since_, 0));
    ++watch->switches_;
  }
}

void SwitchWatch::resumed(SwitchWatch* first, const Greenlet& greenlet) noexcept {
  std::int64_t now = base::now_ns();
  for (SwitchWatch* watch = first; watch != nullptr; watch = watch->next_) {
    if (&watch->greenlet_ == &greenlet) watch->since_ = now;
  }
}

void SwitchWatch::forked(SwitchWatch*& first) noexcept {
  for (SwitchWatch** place = &first; *place != nullptr;) {
    if ((*place)->greenlet_.state == State::Dead) {
      *place = (*place)->next_;
    } else {
      place = &(*place)->next_;
    }
  }
}

}  // namespace fern::core
