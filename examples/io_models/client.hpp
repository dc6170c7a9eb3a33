#pragma once

// The client of all models: the same connections, messages and pauses for each.

#include <fern/address.hpp>

#include <sys/types.h>

struct Measured {
  long messages = 0;  // that came back as they were sent
  double seconds = 0;
  double cpu = 0;   // seconds that the server computed meanwhile
  double idle = 0;  // the part of a processor that it took while nobody said anything
};

// measure() talks to a server that is the process `server`, all connections at once; then nobody
// says anything for a while; then all leave, the first one by a reset.
Measured measure(const fern::Address& address, pid_t server, int connections, int rounds);
