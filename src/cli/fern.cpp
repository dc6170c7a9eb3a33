// The fern command: what this build and this machine offer.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "fern/config.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Fern: green threads for C++20", "fern"};
  app.set_version_flag("--version", fmt::format("fern {}", fern::version()));
  CLI11_PARSE(app, argc, argv);
  return 0;
}
