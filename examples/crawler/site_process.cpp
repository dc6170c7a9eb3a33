#include "site_process.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fern/socket.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "site.hpp"

namespace crawler {
namespace {

// Starts this program as `crawler --site PAGES,MILLISECONDS` with `control` for its input.
int start(const SitePlan& plan, const fern::Socket& control) {
  std::string name = "crawler";
  std::string option = "--site";
  std::string value = std::to_string(plan.pages) + "," + std::to_string(plan.latency.count());
  std::array<char*, 4> arguments{name.data(), option.data(), value.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, control.fd(), STDIN_FILENO);
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C at the terminal is for the crawler, which stops the site then.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  int pid = -1;
  int error = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), "cannot start the site");
  return pid;
}

}  // namespace

SiteProcess::SiteProcess(const SitePlan& plan) {
  auto [ours, its] = fern::socketpair();
  pid_ = start(plan, its);
  control_ = std::move(ours);
  its.close();
  port_ = static_cast<std::uint16_t>(read_number());
}

// The site ends when this end of the socket is gone; then waiting for it is short.
SiteProcess::~SiteProcess() {
  if (pid_ == -1) return;
  control_.close();
  waitpid(pid_, nullptr, 0);
}

std::size_t SiteProcess::stop() {
  control_.shutdown(fern::Socket::Direction::Send);
  return read_number();
}

unsigned long SiteProcess::read_number() {
  std::string line;
  for (std::string piece; !(piece = control_.recv(1)).empty(); line += piece) {
    if (piece == "\n") return std::stoul(line);
  }
  throw std::runtime_error("the site has ended");
}

}  // namespace crawler
