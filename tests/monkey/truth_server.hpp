#pragma once

// For rows that look names up: a name server that all of them ask, and an /etc where that is said.

#include "monkey/name_server.hpp"
#include "monkey/truth.hpp"

#include <netdb.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace fern::truth {

inline const std::string server_address = fern::testing::address_in("127.79.");

// Before there is a second thread. Who does not answer is waited for no longer than has to be.
inline const bool permitted =
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1) == 0 && fern::testing::see_etc(server_address);

inline std::optional<fern::testing::NameServer> server;

class ServerBegun : public ::testing::Environment {
 public:
  void SetUp() override {
    if (permitted) server.emplace(server_address.c_str());
  }
  void TearDown() override { server.reset(); }
};
inline ::testing::Environment* const server_begun =
    ::testing::AddGlobalTestEnvironment(new ServerBegun);

inline constexpr const char* keeps_heap = "the threads that ask";

// A call that succeeds may leave anything in errno.
template <class Call>
int look_up(World& world, const char* what, Call call) {
  int error = 0;
  h_errno = 77;
  world.call(what, [&] {
    int before = errno;
    error = call();
    if (error != EAI_SYSTEM) errno = before;
    return error;
  });
  return error;
}

}  // namespace fern::truth
