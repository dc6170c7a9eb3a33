#pragma once

// All pages of Python's documentation, where Debian's python3.11-doc is installed.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace fern::testing {

// False where it is not; else take(path, page) is called for each.
template <class Take>
bool each_page_of_documentation(Take take) {
  const std::filesystem::path tree = "/usr/share/doc/python3.11/html";
  if (!std::filesystem::exists(tree / "index.html")) return false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree)) {
    if (entry.path().extension() != ".html") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    take(entry.path(), page);
  }
  return true;
}

}  // namespace fern::testing
