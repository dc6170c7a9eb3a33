#pragma once

// A TaskGroup is a scope that no greenlet of it outlives, and in which the first failure ends the
// rest:
//
//   std::vector<Page> fetch_all(const std::vector<Url>& urls) {
//     std::vector<Page> pages(urls.size());
//     fern::TaskGroup group;
//     for (std::size_t i = 0; i < urls.size(); ++i) {
//       group.spawn([&, i] { pages[i] = fetch(urls[i]); });
//     }
//     group.join();        // all have ended; throws what went wrong
//     return pages;
//   }
//
// A member that ends by an exception fails the group: all others are killed, and join() throws that
// exception when they have ended, or a TaskGroupError of all there were if others failed too, in
// their clean-up say. One that is killed just leaves; the rest go on. Who waits for the group and
// is killed, or runs out of time in a Timeout scope, takes the members along. (As asyncio's
// TaskGroup and Trio's nurseries, but that a failure does not cut short what the owner does before
// it joins: let a member do it.)
//
// Members may spawn into their group. All of it is in one thread, that of the first spawn;
// elsewhere its functions throw a GreenletError.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/members.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fern {

// TaskGroupError is several failures at once.
class FERN_API TaskGroupError : public std::runtime_error {
 public:
  TaskGroupError(const std::string& what, std::vector<std::exception_ptr> errors);
  TaskGroupError(const TaskGroupError&) noexcept;
  TaskGroupError& operator=(const TaskGroupError&) noexcept;
  ~TaskGroupError() override;

  // errors() are at least two, in the order in which their greenlets ended.
  const std::vector<std::exception_ptr>& errors() const noexcept { return *errors_; }

 private:
  std::shared_ptr<const std::vector<std::exception_ptr>> errors_;
};

class FERN_API TaskGroup {
 public:
  TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Left by an exception it kills the members and waits until they have ended; else it waits as
  // join() does. A kill that comes meanwhile ends the members too, and is delivered at the next
  // wait. Failures that no join() has thrown, and nobody has read, are printed.
  ~TaskGroup();

  // spawn() is that of greenlet.hpp, for a member. Into a group that has failed nothing is started:
  // the handle is of a killed greenlet. Throws GreenletError once a join() has found it empty.
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(const SpawnOptions& options, Fn&& f, Args&&... args) {
    admit();
    auto member = detail::spawn_member(*members_, {}, options,
                                       Call<std::decay_t<Fn>>{this, std::forward<Fn>(f)},
                                       std::forward<Args>(args)...);
    if (failed_) member.kill({.block = false});
    return member;
  }
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(Fn&& f, Args&&... args) {
    return spawn(SpawnOptions{}, std::forward<Fn>(f), std::forward<Args>(args)...);
  }

  // join() waits until no member is left, and throws what they failed by, each time it is called;
  // false when the deadline passes first, and the group goes on. What is thrown at the caller
  // meanwhile is thrown when the members have been killed and have ended. A member cannot wait for
  // its own end and gets a GreenletError; BlockingInHub on the hub's own stack.
  bool join(Deadline deadline = {});

  // kill() kills all members, as Group::kill() does; that alone is no failure.
  bool kill(const KillOptions& options = {});

  std::size_t size() const noexcept { return detail::count_of(*members_); }

 private:
  // What a member runs. The others are killed while it still can wait, for that may run destructors
  // of theirs.
  template <class Fn>
  struct Call {
    TaskGroup* group;
    Fn fn;

    template <class... Args>
    decltype(auto) operator()(Args&&... args) {
      try {
        return std::invoke(std::move(fn), std::forward<Args>(args)...);
      } catch (const GreenletExit&) {
        throw;
      } catch (...) {
        group->fail();
        throw;
      }
    }
  };

  static void member_failed(void* group, core::Greenlet& member) noexcept;
  void admit();
  void fail() noexcept;
  void end_members() noexcept;
  void throw_failures();

  detail::Members* members_;
  std::vector<AnyGreenlet> failures_;  // handles keep their exceptions
  int exceptions_ = std::uncaught_exceptions();
  bool failed_ = false;
  bool closed_ = false;
};

}  // namespace fern
