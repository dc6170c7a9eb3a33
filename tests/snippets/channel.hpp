#include <optional>

struct Frame {};
std::optional<Frame> decode();
void show(const Frame& frame);
