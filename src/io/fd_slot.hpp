#pragma once

// FdSlot is what the whole process knows of one descriptor number: whether Fern owns it, and which
// hubs may have something in their tables for it. One word, read without a lock:
//
//   63      62       61 .. 32                            31 .. 0
//   owned   stream   table: 0 none, one's id, or many    generation
//
// The generation counts how often the number has changed hands as far as Fern sees: adopted,
// closed, released. What a table keeps for another generation is stale.

#include <atomic>
#include <cstdint>

namespace fern::io {

class FdSlot {
 public:
  static constexpr std::uint32_t many = (std::uint32_t{1} << 30) - 1;

  class View {
   public:
    explicit View(std::uint64_t word = 0) noexcept : word_(word) {}
    static View of_all() noexcept { return View(std::uint64_t{many} << 32); }  // names every table
    bool owned() const noexcept { return (word_ & owned_bit) != 0; }
    bool stream() const noexcept { return (word_ & stream_bit) != 0; }
    std::uint32_t table() const noexcept { return static_cast<std::uint32_t>(word_ >> 32) & many; }
    std::uint32_t generation() const noexcept { return static_cast<std::uint32_t>(word_); }

   private:
    std::uint64_t word_;
  };

  // find() is null for what cannot be a descriptor, and when memory is out.
  static FdSlot* find(int fd) noexcept {
    auto number = static_cast<unsigned>(fd);
    if (number < chunk_size) [[likely]]
      return &first_[number];
    return find_far(number);
  }

  // next_noted() is the lowest number from `first` to `last` that some table has noted; -1 if none.
  static int next_noted(unsigned first, unsigned last) noexcept;

  View load() const noexcept { return View(word_.load(std::memory_order_acquire)); }

  // adopt() makes it ours: an open, non-blocking descriptor that only Fern closes. `stream` says
  // that a recv which returns less than asked has read all there is.
  void adopt(bool stream) noexcept;

  // note() writes down that a table is about to keep something for the number. False when it has
  // changed hands since the generation seen.
  bool note(std::uint32_t generation, std::uint32_t table) noexcept;

  // take() ends this generation: not owned, noted by nobody. Returns what was.
  View take() noexcept;

 private:
  static constexpr std::uint64_t owned_bit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t stream_bit = std::uint64_t{1} << 62;
  static constexpr unsigned chunk_size = 4096;
  static constexpr unsigned chunks = 16384;  // 64 Mi descriptors

  static FdSlot* find_far(unsigned number) noexcept;

  static FdSlot first_[chunk_size];
  static std::atomic<FdSlot*> more_[chunks];

  std::atomic<std::uint64_t> word_{0};
};

}  // namespace fern::io
