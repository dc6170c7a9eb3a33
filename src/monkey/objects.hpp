#pragma once

// The objects that are loaded in this process, the program and its libraries, and where the calls
// lead that they make by name.

#include <string>
#include <vector>

namespace fern::monkey {

// Import is one name that an object calls, and what its slot holds. A slot that is bound at the
// first call, and has not been yet, reaches nothing.
struct Import {
  std::string object;  // its file; empty for the program
  std::string name;
  void* reached;
};

struct Loaded {
  std::vector<std::string> objects;  // of all namespaces, those of dlmopen too
  std::vector<Import> imports;       // of wrapped names
};

// loaded() looks into every object. Slow, allocates.
Loaded loaded();

// reaches() asks whether a call that goes to `address` comes to our wrapper of the name: at once,
// by a sanitizer that stands before it, or by the program's own table of calls.
bool reaches(const char* name, void* address);

// file_of() is the file that an address belongs to.
std::string file_of(void* address);

}  // namespace fern::monkey
