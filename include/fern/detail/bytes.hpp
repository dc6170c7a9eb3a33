#pragma once

// What calls that move bytes take: any contiguous bytes, by reference to where they are.

#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

namespace fern::detail {

template <class T>
concept Byte = sizeof(T) == 1 && std::is_trivially_copyable_v<T>;

// ConstBytes is made of a string, a literal (without its NUL), or any contiguous range of
// one-byte elements: std::span, std::vector, std::array.
class ConstBytes {
 public:
  constexpr ConstBytes(const void* data, std::size_t size) noexcept : data_(data), size_(size) {}

  template <class T>
    requires std::convertible_to<const T&, std::string_view>
  constexpr ConstBytes(const T& text) noexcept {
    std::string_view view = text;
    data_ = view.data();
    size_ = view.size();
  }

  template <class Range>
    requires(std::ranges::contiguous_range<const Range> && std::ranges::sized_range<const Range> &&
             Byte<std::ranges::range_value_t<const Range>> &&
             !std::convertible_to<const Range&, std::string_view>)
  constexpr ConstBytes(const Range& range) noexcept
      : data_(std::ranges::data(range)), size_(std::ranges::size(range)) {}

  const std::byte* data() const noexcept { return static_cast<const std::byte*>(data_); }
  std::size_t size() const noexcept { return size_; }

 private:
  const void* data_;
  std::size_t size_;
};

// Bytes is room to write into: any contiguous range of one-byte elements that are not const.
class Bytes {
 public:
  constexpr Bytes(void* data, std::size_t size) noexcept : data_(data), size_(size) {}

  template <class Range>
    requires(std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
             Byte<std::ranges::range_value_t<Range>> &&
             !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>> &&
             !std::same_as<std::remove_cvref_t<Range>, Bytes>)
  constexpr Bytes(Range&& range) noexcept
      : data_(std::ranges::data(range)), size_(std::ranges::size(range)) {}

  std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  std::size_t size() const noexcept { return size_; }

 private:
  void* data_;
  std::size_t size_;
};

}  // namespace fern::detail
