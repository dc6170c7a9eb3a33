#include "monkey/naps.hpp"

#include <algorithm>
#include <utility>

namespace fern::monkey {

bool Naps::again() noexcept {
  if (ending_.late()) {
    errno = EAGAIN;
    return false;
  }
  auto nap = std::exchange(next_, std::min(next_ * 2, longest));
  return ending_.again(rest(what_, -1, limit_, nap));
}

}  // namespace fern::monkey
