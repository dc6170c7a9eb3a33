#pragma once

// A name server for this process and its children, in place of the machine's: "late.test" is
// 192.0.2.1 after a while, "never.test" is never answered. /etc/resolv.conf leads to it in a mount
// namespace of our own, so only root can have one.

#include "monkey/servers.hpp"

#include <chrono>
#include <thread>

namespace fern::testing {

class LateNames {
 public:
  static bool possible();

  // To be made while the process has one thread. Throws std::system_error.
  explicit LateNames(std::chrono::milliseconds late);
  LateNames(const LateNames&) = delete;
  LateNames& operator=(const LateNames&) = delete;
  ~LateNames();

 private:
  void serve(std::chrono::milliseconds late);

  Folder folder_;
  int fd_ = -1;
  std::thread thread_;
};

}  // namespace fern::testing
