#pragma once

// A SiteProcess is a second process of this program that serves a site (site.hpp):
//
//   SiteProcess site({.pages = 2000, .latency = 50ms});
//   crawl("http://127.0.0.1:" + std::to_string(site.port()));
//   std::size_t served = site.stop();
//
// It ends with this process, however that ends.

#include <fern/socket.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

#include "site.hpp"

namespace crawler {

class SiteProcess {
 public:
  // Throws std::system_error, or std::runtime_error when the site does not come up.
  explicit SiteProcess(const SitePlan& plan);
  SiteProcess(const SiteProcess&) = delete;
  SiteProcess& operator=(const SiteProcess&) = delete;
  ~SiteProcess();

  std::uint16_t port() const noexcept { return port_; }

  // stop() ends the process and returns how many pages it has served.
  std::size_t stop();

 private:
  unsigned long read_number();

  int pid_ = -1;
  fern::Socket control_;
  std::uint16_t port_ = 0;
};

}  // namespace crawler
