#include "fern/config.hpp"

#include <cstdint>

namespace fern {
namespace {

// An ELF note in whatever Fern is linked into: `fern run` refuses a program that carries it.
struct Note {
  std::uint32_t name_size = 5;
  std::uint32_t size = 4;
  std::uint32_t type = 1;
  char name[8] = "Fern";
  std::uint32_t version =
      FERN_VERSION_MAJOR * 10000 + FERN_VERSION_MINOR * 100 + FERN_VERSION_PATCH;
};
__attribute__((section(".note.fern"), used, aligned(4))) constexpr Note note;

}  // namespace

const char* version() noexcept { return FERN_VERSION; }

}  // namespace fern
