#include "base/native.hpp"

namespace fern::base {

constinit thread_local unsigned native_depth = 0;

}  // namespace fern::base
