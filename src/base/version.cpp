#include "fern/config.hpp"

namespace fern {

const char* version() noexcept { return FERN_VERSION; }

}  // namespace fern
