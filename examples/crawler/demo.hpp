#pragma once

// The demo: crawls a site of its own on loopback and compares the time with the site's latencies.

#include "options.hpp"

namespace crawler {

// run_demo() returns the program's exit status.
int run_demo(const Options& options);

}  // namespace crawler
