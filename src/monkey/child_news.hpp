#pragma once

// ChildNews tells who waits that some child of this process has changed its state. It leaves the
// program's SIGCHLD alone: one thread for the process, made when somebody waits, blocks in waitid()
// with WNOWAIT, which takes nothing away. While a child that nobody reaps stands in its way it
// looks again after growing sleeps.
//
//   ChildNews news;               // told until it goes
//   for (;;) {
//     bool come = news.expect();  // from here on a change makes news.fd() readable
//     if (reaped()) break;
//     come ? wait_readable(news.fd()) : nap();
//   }

#include "monkey/descriptor.hpp"

namespace fern::monkey {

class ChildNews {
 public:
  ChildNews() noexcept;
  ChildNews(const ChildNews&) = delete;
  ChildNews& operator=(const ChildNews&) = delete;
  ~ChildNews();

  int fd() const noexcept { return told_.get(); }

  // expect() forgets what has been told, and sees to it that somebody looks. False when there is no
  // descriptor or no thread for that: ask now and then.
  bool expect() noexcept;

 private:
  struct Watch;
  static Watch& watch();

  Descriptor told_;  // an eventfd
  ChildNews* next_ = nullptr;
  ChildNews* previous_ = nullptr;
};

}  // namespace fern::monkey
