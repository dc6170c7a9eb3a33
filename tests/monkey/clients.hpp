#pragma once

// Calls of real libraries, written as everybody writes them: blocking. Each takes about `wait` to
// do what it does, and gives a text that is the same every time; an error is in that text.

#include "monkey/servers.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace fern::testing {

using std::chrono::milliseconds;

struct Client {
  std::string name;
  std::function<std::string(milliseconds wait)> call;
  // What takes whole seconds, and so at least this.
  milliseconds shortest{0};
  // A child that nobody waits for any more stays until it is done: this is not to be for long.
  milliseconds longest = std::chrono::hours(1);
};

// clients() are all there are, against these servers, which have to outlive them.
std::vector<Client> clients(const Servers& servers);

// Where a call needs somebody at the other end, that one runs in here: in a greenlet, when the call
// is made in the program's first thread; in a thread otherwise.
class Helper {
 public:
  explicit Helper(std::function<void()> work);
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper();  // waits for it; a greenlet that goes on without us is killed

 private:
  std::function<void()> join_;
};

// What moves many bytes. Each gives how many, and whether they were right.
std::string curl_get(const std::string& url, const std::string& certificate);
std::string postgres_copy(const std::string& connection, std::size_t size);

}  // namespace fern::testing
