#pragma once

// Real servers on loopback, for tests of real clients: started in a folder of their own, on free
// ports, and gone with the object. To be made before anything is patched.
//
//   Servers servers;
//   if (!servers.missing().empty()) GTEST_SKIP() << servers.missing();
//   servers.start();
//   get(servers.http() + "slow/300");
//
// Those that refuse to run as root run as somebody else then. Each dies with its starter.

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

namespace fern::testing {

// A folder that everybody may read, removed with all that is in it.
class Folder {
 public:
  Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();

  std::filesystem::path path(const std::string& name = {}) const { return path_ / name; }
  // Makes a folder in it that belongs to this user.
  std::filesystem::path made(const std::string& name, uid_t owner) const;
  std::string write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

// A running program, its output in a log. Ends with the object: by a signal that it knows, first.
class Server {
 public:
  Server() = default;
  Server(Server&& other) noexcept;
  Server& operator=(Server&& other) noexcept;
  ~Server() { stop(); }

  // Throws std::runtime_error, with the log, when the program does not write `ready` into it.
  Server(const std::vector<std::string>& command, const std::string& log, const std::string& ready,
         int stop_signal = SIGTERM);
  void stop() noexcept;

 private:
  pid_t pid_ = -1;
  int stop_signal_ = SIGTERM;
};

int free_port();

// program() is where a program is: in PATH, or where Debian keeps those of servers; empty if it is
// nowhere.
std::string program(const std::string& name);

// run() runs a program to its end, and throws std::runtime_error unless that was a good one.
void run(const std::vector<std::string>& command);

class Servers {
 public:
  // What is not installed; empty when start() can be called.
  static std::string missing();

  void start();

  // nginx. "slow/MS" answers after so many milliseconds; "big" is 10 MB.
  std::string http() const { return "http://localhost:" + std::to_string(http_) + "/"; }
  std::string https() const { return "https://localhost:" + std::to_string(https_) + "/"; }
  std::string certificate() const { return folder_.path("server.crt"); }
  std::string key() const { return folder_.path("server.key"); }

  int redis() const { return redis_; }
  int mariadb() const { return mariadb_; }
  std::string postgres() const {
    return "host=localhost port=" + std::to_string(postgres_) + " user=fern dbname=postgres";
  }

 private:
  void start_nginx();
  void start_redis();
  void start_postgres();
  void start_mariadb();

  Folder folder_;
  int http_ = 0;
  int https_ = 0;
  int redis_ = 0;
  int postgres_ = 0;
  int mariadb_ = 0;
  std::vector<Server> running_;
};

constexpr std::size_t big_size = 10'000'000;

}  // namespace fern::testing
