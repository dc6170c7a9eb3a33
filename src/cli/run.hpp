#pragma once

// fern run: a program with its threads green.

#include <string>
#include <vector>

namespace fern::cli {

struct RunOptions {
  unsigned hubs = 1;
  bool tls = false;
  bool report = false;
  std::vector<std::string> command;
};

// run() becomes the program; returns only if that fails, with the exit code of the command.
int run(const RunOptions& options);

}  // namespace fern::cli
