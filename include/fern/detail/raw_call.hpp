#pragma once

// How a typed callable becomes a raw greenlet's, and the two sides of a switch by hand.
//
// A greenlet that is suspended in switch_to() has a Value on its own stack, its inbox, empty while
// it waits. Who switches to it moves what it passes in there and jumps: so one object serves both
// directions, and on arrival there is nothing to look for. More than a value (an exception, a
// trace, a greenlet to let go of) stands in the hub, and a signal in the inbox says so.

#include <fern/config.hpp>
#include <fern/detail/switch.hpp>
#include <fern/detail/task.hpp>
#include <fern/errors.hpp>
#include <fern/value.hpp>

#include <any>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern::detail {

// ValueAccess is the switch's view into Value.
struct ValueAccess {
  // Whether its bytes may be copied without calling anything.
  static bool plain(const Value& value) noexcept {
    return value.ops_ == nullptr || value.ops_->move == nullptr;
  }
  // Moves a plain one into an empty one. By single words: what was just written as a word cannot be
  // forwarded to a wider load, which then waits for the cache.
  static void pass(Value& from, Value& to) noexcept {
    to.ops_ = from.ops_;
    if (from.ops_ == nullptr) return;
    from.ops_ = nullptr;
#pragma GCC unroll 3
    for (std::size_t at = 0; at < Value::room_size; at += sizeof(void*)) {
      void* word;
      std::memcpy(&word, from.room_ + at, sizeof word);
      asm("" : "+r"(word));
      std::memcpy(to.room_ + at, &word, sizeof word);
    }
  }
  static bool signals(const Value& value) noexcept {
    return value.ops_ != nullptr && value.ops_->signal;
  }
  static void signal(Value& empty, const ValueOps& signal) noexcept { empty.ops_ = &signal; }
  static void clear_signal(Value& value) noexcept { value.ops_ = nullptr; }
};

// RawTask is the task of a raw greenlet. run() takes what the first switch passed out of `value`
// and puts there what the callable returned.
struct RawTask : Task {
  Value value;
  bool dropped = false;  // its last handle has gone, and it unwinds: nobody wants its end
  void clear() noexcept final { value = Value(); }
};

// attend() does what else came with a switch: throws, calls the trace, lets go of who left. Returns
// the value in `inbox`.
FERN_API void attend(Value& inbox);

// switch_slowly() is a whole switch but for attend(). prepare_switch() is its quick half: the
// caller has to jump at once; null when all is done already. Both throw what a wait throws, and
// GreenletError. throw_raw() switches with an exception.
FERN_API void switch_slowly(core::Greenlet* to, Value& value);
FERN_API FERN_NOPLT Passage prepare_switch(core::Greenlet* to, Value& value);
FERN_API Value throw_raw(core::Greenlet* to, std::exception_ptr error);

// raw_parent() is the parent for a new raw greenlet, the running one if none is asked for. Throws
// GreenletError. set_raw_task() makes a block a raw greenlet.
FERN_API core::Greenlet* raw_parent();
FERN_API core::Greenlet* raw_parent(core::Greenlet* asked);
FERN_API void set_raw_task(core::Greenlet* block, RawTask* task, core::Greenlet* parent) noexcept;

// exchange() switches with what is in `value` and returns with what came back there.
__attribute__((always_inline)) inline void exchange(core::Greenlet* to, Value& value) {
#ifdef FERN_INLINE_SWITCH
  Passage passage = prepare_switch(to, value);
  if (passage.to != nullptr) jump(passage);
#else
  switch_slowly(to, value);
#endif
  if (ValueAccess::signals(value)) [[unlikely]]
    attend(value);
}

// pack() is nothing, the one argument, or a tuple of all.
inline Value pack() noexcept { return Value(); }

template <class A>
Value pack(A&& only) {
  if constexpr (std::is_same_v<std::decay_t<A>, Value>) {
    static_assert(!std::is_lvalue_reference_v<A>, "a Value is moved: pass std::move(value)");
    return std::move(only);
  } else {
    return Value(std::forward<A>(only));
  }
}

template <class... A>
Value pack(A&&... several) {
  return Value(std::tuple<std::decay_t<A>...>(std::forward<A>(several)...));
}

// Parameters<Fn>::Types is a tuple of a callable's parameters; there is none where they cannot be
// known, as of a generic lambda.
template <class Call>
struct Parameters {};
template <class R, class... A>
struct Parameters<R (*)(A...)> {
  using Types = std::tuple<A...>;
};
template <class R, class... A>
struct Parameters<R (*)(A...) noexcept> : Parameters<R (*)(A...)> {};
template <class R, class C, class... A>
struct Parameters<R (C::*)(A...)> : Parameters<R (*)(A...)> {};
template <class R, class C, class... A>
struct Parameters<R (C::*)(A...) const> : Parameters<R (*)(A...)> {};
template <class R, class C, class... A>
struct Parameters<R (C::*)(A...) noexcept> : Parameters<R (*)(A...)> {};
template <class R, class C, class... A>
struct Parameters<R (C::*)(A...) const noexcept> : Parameters<R (*)(A...)> {};
template <class Fn>
  requires requires { &Fn::operator(); }
struct Parameters<Fn> : Parameters<decltype(&Fn::operator())> {};

template <class Fn>
concept Typed = requires { typename Parameters<Fn>::Types; };

template <class Fn>
concept RawCallable = Typed<Fn> || std::invocable<Fn, Value> || std::invocable<Fn>;

// call() is what fn returns, as a Value.
template <class Fn, class... A>
Value call(Fn&& fn, A&&... args) {
  using R = std::invoke_result_t<Fn, A...>;
  if constexpr (std::is_void_v<R>) {
    std::invoke(std::forward<Fn>(fn), std::forward<A>(args)...);
    return Value();
  } else {
    return pack(std::invoke(std::forward<Fn>(fn), std::forward<A>(args)...));
  }
}

template <class Fn, class... A>
Value call_typed(Fn&& fn, Value& passed, std::type_identity<std::tuple<A...>>) {
  if constexpr (sizeof...(A) == 1) {
    auto one = passed.take<std::decay_t<A>...>();
    return call(std::move(fn), static_cast<A&&>(one)...);
  } else {
    auto all = passed.take<std::tuple<std::decay_t<A>...>>();
    return std::apply(
        [&](std::decay_t<A>&... each) { return call(std::move(fn), static_cast<A&&>(each)...); },
        all);
  }
}

template <class Fn>
constexpr bool has_parameters = false;
template <Typed Fn>
constexpr bool has_parameters<Fn> = std::tuple_size_v<typename Parameters<Fn>::Types> > 0;

// call_with() calls fn with what its parameters ask for. Throws std::bad_any_cast when something
// else was passed.
template <class Fn>
Value call_with(Fn&& fn, Value& passed) {
  if constexpr (std::invocable<Fn, Value>) {
    return call(std::move(fn), std::move(passed));
  } else if constexpr (has_parameters<Fn>) {
    if constexpr (std::invocable<Fn>) {
      if (passed.empty()) return call(std::move(fn));  // all have defaults
    }
    return call_typed(std::move(fn), passed, std::type_identity<typename Parameters<Fn>::Types>());
  } else {
    // That a child was killed is no argument.
    if (!passed.empty() && passed.get_if<GreenletExit>() == nullptr) throw std::bad_any_cast();
    passed = Value();
    return call(std::move(fn));
  }
}

template <class Fn>
struct RawCall final : RawTask {
  template <class F>
  explicit RawCall(F&& f) : fn(std::forward<F>(f)) {}
  ~RawCall() {}  // fn is destroyed by run or abandon

  void run() override {
    struct Destroy {
      RawCall* call;
      ~Destroy() { call->abandon(); }
    } destroy{this};
    if (ValueAccess::signals(value)) attend(value);
    value = call_with(std::move(fn), value);
  }
  void abandon() noexcept override { std::destroy_at(&fn); }

  union {
    Fn fn;
  };
};

template <class Fn>
core::Greenlet* make_raw(const SpawnOptions& options, Fn&& fn, core::Greenlet* parent) {
  using Made = RawCall<std::decay_t<Fn>>;
  Made* task = nullptr;
  core::Greenlet* block = place<Made>(options, task, std::forward<Fn>(fn));
  set_raw_task(block, task, parent);
  return block;
}

}  // namespace fern::detail
