#pragma once

// PartsOf is the rest of an iovec array of which some bytes have been read or written.

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>

namespace fern::monkey {

class PartsOf {
 public:
  PartsOf(const iovec* parts, std::size_t count) noexcept : parts_(parts), count_(count) {}

  std::size_t size() const noexcept {
    std::size_t size = 0;
    for (std::size_t i = 0; i < count_; ++i) size += parts_[i].iov_len;
    return size;
  }

  // after() are the parts behind the first `done` bytes, as many of them as there is room for: a
  // call may do less than all, and its caller asks again.
  template <class Count>
  iovec* after(std::size_t done, Count& count) noexcept {
    std::size_t first = 0;
    while (first < count_ && done >= parts_[first].iov_len) done -= parts_[first++].iov_len;
    std::size_t taken = std::min(count_ - first, most);
    std::copy_n(parts_ + first, taken, rest_);
    if (taken > 0) {
      rest_[0].iov_base = static_cast<char*>(rest_[0].iov_base) + done;
      rest_[0].iov_len -= done;
    }
    count = static_cast<Count>(taken);
    return rest_;
  }

 private:
  static constexpr std::size_t most = 16;

  const iovec* parts_;
  std::size_t count_;
  iovec rest_[most];
};

}  // namespace fern::monkey
