#pragma once

// Mapping is what imap and map have in common: a callable, the ranges that its arguments are read
// from, and greenlets that call it, private ones or members of a pool.

#include <fern/config.hpp>
#include <fern/detail/feed.hpp>
#include <fern/detail/job.hpp>
#include <fern/detail/members.hpp>
#include <fern/greenlet.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace fern::detail {

template <class Range>
inline constexpr bool is_owning_view = false;
template <class Range>
inline constexpr bool is_owning_view<std::ranges::owning_view<Range>> = true;

// Elements are moved out of a range that was moved in and owns them; other views only refer.
template <class Range>
inline constexpr bool gives_elements =
    !std::is_lvalue_reference_v<Range> && !std::is_const_v<std::remove_reference_t<Range>> &&
    ((!std::ranges::view<std::remove_cvref_t<Range>> &&
      !std::ranges::borrowed_range<std::remove_cvref_t<Range>>) ||
     is_owning_view<std::remove_cvref_t<Range>>);

template <class Range>
using ElementOf = std::ranges::range_value_t<Range>;
template <class Range>
using ReadAs =
    std::conditional_t<gives_elements<Range>, std::ranges::range_rvalue_reference_t<Range>,
                       std::ranges::range_reference_t<Range>>;

// Source reads one range, lazily: it steps on only when the next element is asked for. An lvalue
// range is referenced, an rvalue one kept.
template <class Range>
class Source {
 public:
  using Kept = std::remove_cvref_t<Range>;
  using Seen =
      std::conditional_t<std::is_lvalue_reference_v<Range>, std::remove_reference_t<Range>, Kept>;

  explicit Source(Range&& range) : range_(keep(range)) {}

  // more() steps to the next element; false at the end. take() is that element.
  bool more() {
    if (at_) {
      ++*at_;
    } else {
      at_.emplace(std::ranges::begin(seen()));
      end_.emplace(std::ranges::end(seen()));
    }
    return !(*at_ == *end_);
  }
  ElementOf<Range> take() {
    if constexpr (gives_elements<Range>) {
      return ElementOf<Range>(std::ranges::iter_move(*at_));
    } else {
      return ElementOf<Range>(**at_);
    }
  }

 private:
  static constexpr bool referenced = std::is_lvalue_reference_v<Range>;
  using Place = std::conditional_t<referenced, Seen*, Kept>;

  static decltype(auto) keep(std::remove_reference_t<Range>& range) {
    if constexpr (referenced) {
      return std::addressof(range);
    } else {
      return static_cast<Range&&>(range);
    }
  }
  Seen& seen() {
    if constexpr (referenced) {
      return *range_;
    } else {
      return range_;
    }
  }

  Place range_;
  std::optional<std::ranges::iterator_t<Seen>> at_;
  std::optional<std::ranges::sentinel_t<Seen>> end_;
};

template <class Fn, class... Ranges>
using MapResult = std::decay_t<std::invoke_result_t<std::decay_t<Fn>&, ElementOf<Ranges>...>>;

// Readable: its elements can be taken, and it can be kept if it is moved in.
template <class Range>
concept Readable =
    std::ranges::input_range<Range> && std::constructible_from<ElementOf<Range>, ReadAs<Range>> &&
    (std::is_lvalue_reference_v<Range> ||
     std::constructible_from<std::remove_cvref_t<Range>, Range>);

template <class Fn, class... Elements>
concept CallableWith =
    std::constructible_from<std::decay_t<Fn>, Fn> && std::invocable<std::decay_t<Fn>&, Elements...>;

// Mappable: f can be called with an element of each range, and returns something.
template <class Fn, class... Ranges>
concept Mappable =
    (sizeof...(Ranges) > 0) && (Readable<Ranges> && ...) &&
    CallableWith<Fn, ElementOf<Ranges>...> && (!std::is_void_v<MapResult<Fn, Ranges...>>);

// Spread calls f with the parts of a tuple.
template <class Fn>
struct Spread {
  Fn f;

  template <class Tuple>
    requires([]<std::size_t... I>(std::index_sequence<I...>) {
      return std::invocable<Fn&, decltype(std::get<I>(std::declval<Tuple>()))...>;
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Tuple>>>()))
  decltype(auto) operator()(Tuple&& tuple) {
    return std::apply(f, std::forward<Tuple>(tuple));
  }
};

template <class Fn, class... Ranges>
class Mapping final : public Results<MapResult<Fn, Ranges...>> {
 public:
  using R = MapResult<Fn, Ranges...>;

  // Without members the greenlets are private, at most `workers` of them.
  Mapping(Feed::Order order, std::size_t workers, std::size_t ahead, Members* members, Fn&& f,
          Ranges&&... ranges)
      : Results<R>(order, workers, ahead),
        fn_(std::forward<Fn>(f)),
        input_(std::in_place, Source<Ranges>(std::forward<Ranges>(ranges))...),
        members_(members) {
    if (members_ != nullptr) fern::detail::retain(*members_);
  }

  // read_all() reads item by item and spawns a greenlet for each; what the input throws leaves it.
  void read_all() {
    while (read_one()) {
    }
  }

 private:
  using Elements = std::tuple<ElementOf<Ranges>...>;

  struct Work {
    Mapping* mapping;  // the Job counts it
    Elements elements;
    decltype(auto) operator()() {
      return std::apply(
          [this](auto&... element) -> decltype(auto) {
            return std::invoke(mapping->fn_, std::move(element)...);
          },
          elements);
    }
  };

  ~Mapping() override {
    if (members_ != nullptr) fern::detail::release(*members_);
  }

  void drop_input() noexcept override { input_.reset(); }

  bool read_one() {
    if (!this->wait_for_room()) return false;
    std::optional<Elements> elements = read();
    if (!elements || this->abandoned() || !this->wait_for_worker()) return false;
    start_job(static_cast<Results<R>&>(*this), Work{this, std::move(*elements)}, [this](auto job) {
      return members_ == nullptr ? fern::spawn(std::move(job))
                                 : spawn_member(*members_, {}, {}, std::move(job));
    });
    return true;
  }

  // The first range that ends is the end.
  std::optional<Elements> read() {
    typename Feed::Reading reading(*this);
    return std::apply(
        [](auto&... source) -> std::optional<Elements> {
          if (!(source.more() && ...)) return std::nullopt;
          return Elements{source.take()...};  // braces: from left to right
        },
        *input_);
  }

  std::decay_t<Fn> fn_;
  std::optional<std::tuple<Source<Ranges>...>> input_;  // until the end
  Members* members_;
};

// Reader is the callable of the greenlet that reads for an imap.
template <class Mapping>
struct Reader {
  Ref<Mapping> mapping;
  explicit Reader(Ref<Mapping> mapping) noexcept : mapping(std::move(mapping)) {}
  Reader(Reader&&) = default;
  ~Reader() {
    if (mapping) mapping->complete();
  }
  void operator()() { mapping->read_all(); }
};

// map_lazily() begins an imap: the reader starts when the caller next waits.
template <class Fn, class... Ranges>
auto map_lazily(Feed::Order order, std::size_t workers, Members* members, Fn&& f,
                Ranges&&... ranges) {
  using Made = Mapping<Fn, Ranges...>;
  std::size_t ahead = workers == unlimited ? unlimited : workers + 1;
  Ref<Made> mapping(new Made(order, workers, ahead, members, std::forward<Fn>(f),
                             std::forward<Ranges>(ranges)...));
  mapping->set_reader(fern::spawn(Reader<Made>(mapping)));
  return Ref<Results<typename Made::R>>(mapping);
}

// map_eagerly() spawns a greenlet for each item and collects what they return, in order.
template <class Fn, class... Ranges>
auto map_eagerly(std::size_t workers, Members* members, Fn&& f, Ranges&&... ranges) {
  using Made = Mapping<Fn, Ranges...>;
  Ref<Made> mapping(new Made(Feed::Order::Input, workers, unlimited, members, std::forward<Fn>(f),
                             std::forward<Ranges>(ranges)...));
  struct RunOn {  // however it ends: what was spawned runs on
    Made& mapping;
    ~RunOn() { mapping.abandon(false); }
  } run_on{*mapping};
  mapping->read_all();
  mapping->complete();
  std::vector<typename Made::R> results;
  for (mapping->advance({}); !mapping->done(); mapping->advance({})) {
    results.push_back(std::move(mapping->value()));
  }
  return results;
}

}  // namespace fern::detail
