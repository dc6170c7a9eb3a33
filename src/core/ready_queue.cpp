#include "core/ready_queue.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <new>

namespace fern::core {
namespace {

// A ring of so many bytes begins at a multiple of this.
std::align_val_t alignment(std::size_t bytes) noexcept {
  return static_cast<std::align_val_t>(2 * bytes);
}

}  // namespace

ReadyQueue::~ReadyQueue() {
  if (ring_ != nullptr) ::operator delete(ring_, alignment(bytes()));
}

void ReadyQueue::grow(std::size_t count, Greenlet& nobody) {
  constexpr std::size_t least = 64;
  const std::size_t places = std::bit_ceil(std::max(count, least));
  const std::size_t bytes = places * sizeof(Greenlet*);
  const std::size_t with_more = bytes + foresight * sizeof(Greenlet*);
  auto* ring = static_cast<Place>(::operator new(with_more, alignment(bytes)));
  Place end = ring;
  for (Place from = head_; from != tail_; from = wrapped(from + 1)) *end++ = *from;
  std::fill(end, ring + places + foresight, &nobody);
  if (ring_ != nullptr) ::operator delete(ring_, alignment(this->bytes()));
  ring_ = head_ = ring;
  tail_ = end;
  wrap_ = ~bytes;
}

// From the last to the first, each to the place before that of the one who went before it.
void ReadyQueue::put_first(std::size_t count) noexcept {
  if (count == 0 || count >= size()) return;
  auto before = [this](Place place) { return (place == ring_ ? ring_ + places() : place) - 1; };
  Place from = tail_;
  head_ = before(head_);
  *head_ = first_;
  for (std::size_t left = count; left > 0; --left) {
    from = before(from);
    head_ = before(head_);
    *head_ = *from;
  }
  tail_ = from;
  advance();
}

}  // namespace fern::core
